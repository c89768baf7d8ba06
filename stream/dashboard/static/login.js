"use strict";
document.getElementById("failed").hidden = !location.search.includes("failed");
