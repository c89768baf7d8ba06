"""Texts to token ids: the first step of the flow, in Rust (``tokenizers``), on as many cores as there are.

A text goes to the tokenizer as it is. Whatever normalisation there is (lower case, accents) stands in the
folder's ``tokenizer.json``, so training and labelling cannot differ.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Self

from tokenizers import Encoding
from tokenizers import Tokenizer as RustTokenizer

from model.contract import Encoded
from model.errors import ModelError
from model.windows import split

FILE_NAME: Final = "tokenizer.json"


class Tokenizer:
    """A folder's tokenizer, with this project's windows.

    ``max_tokens`` and ``overlap_tokens`` describe the windows; see ``model.calibration.Calibration``.
    """

    def __init__(self, rust: RustTokenizer, *, max_tokens: int, overlap_tokens: int) -> None:
        rust.no_truncation()
        rust.no_padding()
        # A message in which somebody wrote "[SEP]" is that text, and not the end of it.
        rust.encode_special_tokens = True
        self.max_tokens = max_tokens
        self.overlap_tokens = overlap_tokens
        self._rust = rust
        self.prefix, self.suffix = _special_tokens(rust)

    @classmethod
    def load(cls, folder: Path, *, max_tokens: int, overlap_tokens: int) -> Self:
        """The tokenizer in ``folder``; raises ``ModelError`` where there is none that can be read."""
        file = folder / FILE_NAME
        if not file.is_file():
            raise ModelError(f"{file} is missing: save the model with its fast tokenizer, save_pretrained()")
        try:
            rust = RustTokenizer.from_file(str(file))
        except Exception as error:  # the Rust side raises bare Exception
            raise ModelError(f"{file} cannot be read, copy it again ({error})") from error
        return cls(rust, max_tokens=max_tokens, overlap_tokens=overlap_tokens)

    @property
    def vocabulary(self) -> int:
        """How many tokens it has."""
        return self._rust.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[Encoded]:
        """Windows of token ids, one ``Encoded`` a text."""
        return [self._windows(encoding.ids) for encoding in self._encode(texts)]

    def _encode(self, texts: Sequence[str]) -> list[Encoding]:
        """Encodings without special tokens."""
        try:
            return self._rust.encode_batch_fast(texts, add_special_tokens=False)
        except TypeError:  # half a surrogate pair, which JSON can carry, is no Unicode text
            whole = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
            return self._rust.encode_batch_fast(whole, add_special_tokens=False)

    def _windows(self, token_ids: list[int]) -> Encoded:
        if len(self.prefix) + len(token_ids) + len(self.suffix) <= self.max_tokens:
            return Encoded(((*self.prefix, *token_ids, *self.suffix),))
        windows = split(
            token_ids, self.max_tokens, self.overlap_tokens, prefix=self.prefix, suffix=self.suffix
        )
        return Encoded(windows)


def _special_tokens(rust: RustTokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids that the tokenizer puts before and after a text, read off an example."""
    bare = rust.encode("a", add_special_tokens=False).ids
    full = rust.encode("a", add_special_tokens=True).ids
    start = next((i for i in range(len(full)) if full[i : i + len(bare)] == bare), None)
    if start is None or start + len(bare) == len(full) or not bare:
        raise ModelError(
            f"{FILE_NAME} puts no separator after a text: save an encoder's, with its post-processor"
        )
    return tuple(full[:start]), tuple(full[start + len(bare) :])
