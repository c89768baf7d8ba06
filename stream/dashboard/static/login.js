"use strict";
document.getElementById("failed").hidden = !location.search.includes("failed");
document.getElementById("plain").hidden = isSecureContext;
