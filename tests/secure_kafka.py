"""Apache Kafka with a second listener that wants TLS and a login, and that grants rights by name."""

import base64
import json
import time
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

from tests.brokers import ApacheKafka, free_port

PROGRAMS = tuple(f"program{number}" for number in range(20))
"""Users who may do nothing until a test gives them rights."""

USERS = {"alice": "alice's password", "mallory": "mallory's password"} | {
    name: f"{name}'s password" for name in PROGRAMS
}
"""alice may do everything, mallory nothing."""

_PLAIN = "org.apache.kafka.common.security.plain.PlainLoginModule"
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"
_UNSECURED = 'unsecuredLoginStringClaim_sub="broker"'
_OAUTH = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule"


class SecureKafka(ApacheKafka):
    """``secure_servers`` speaks SASL_SSL, ``mutual_servers`` TLS with client certificates."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.ca_file = folder / "ca.pem"
        self.client_file = folder / "client.pem"
        self._server_file = folder / "server.pem"
        self.secure_servers = f"localhost:{free_port()}"
        self.mutual_servers = f"localhost:{free_port()}"
        ca = trustme.CA()
        ca.cert_pem.write_to_path(self.ca_file)
        self._server_file.write_bytes(_java_pem(ca.issue_cert("localhost")))
        ca.issue_cert("alice", common_name="alice").private_key_and_cert_chain_pem.write_to_path(
            self.client_file
        )

    def _configure(self, properties: dict[str, object]) -> None:
        listener = "listener.name.secure."
        properties["listeners"] = (
            f"{properties['listeners']},SECURE://{self.secure_servers},MUTUAL://{self.mutual_servers}"
        )
        properties["listener.security.protocol.map"] = (
            f"{properties['listener.security.protocol.map']},SECURE:SASL_SSL,MUTUAL:SSL"
        )
        passwords = " ".join(f'user_{name}="{password}"' for name, password in USERS.items())
        properties |= {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": self._server_file,
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": self.ca_file,
            "listener.name.mutual.ssl.client.auth": "required",
            f"{listener}sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
            f"{listener}plain.sasl.jaas.config": f"{_PLAIN} required {passwords};",
            f"{listener}scram-sha-256.sasl.jaas.config": f"{_SCRAM} required;",
            f"{listener}scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
            f"{listener}oauthbearer.sasl.jaas.config": f"{_OAUTH} required {_UNSECURED};",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS;User:alice",
            "ssl.principal.mapping.rules": r"RULE:^.*CN=([a-z]+).*$/$1/,DEFAULT",
        }

    def _users(self) -> list[str]:
        return [
            argument
            for name, password in USERS.items()
            if name not in PROGRAMS
            for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
            for argument in ("--add-scram", f"{mechanism}=[name={name},password={password}]")
        ]


def _java_pem(certificate: trustme.LeafCert) -> bytes:
    """Key and certificates in one file; Java reads keys in PKCS #8 only."""
    key = serialization.load_pem_private_key(certificate.private_key_pem.bytes(), password=None)
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pkcs8 + b"".join(pem.bytes() for pem in certificate.cert_chain_pems)


def unsigned_token(user: str) -> str:
    """A token as a broker without a token server takes it (RFC 7519, section 6: unsecured)."""
    now = int(time.time())
    parts = ({"alg": "none"}, {"sub": user, "iat": now, "exp": now + 3600})
    encoded = (base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts)
    return ".".join(encoded) + "."
