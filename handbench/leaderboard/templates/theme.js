"use strict";
// Runs before the page is drawn, so that a chosen theme does not flash. Storage may be forbidden.
document.documentElement.classList.add("js");
try {
  const chosen = localStorage.getItem("handbench-theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* the system's setting stays */ }
