"use strict";  // before anything is drawn, so that a dark page never flashes white
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  if (localStorage.getItem("wall") === "yes") document.documentElement.classList.add("wall");
} catch { /* storage is switched off: the system's choice holds */ }
