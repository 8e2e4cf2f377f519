"use strict";
// Signatures open where the pointer or the focus is; without this they open by a click.
for (const button of document.querySelectorAll(".how")) {
  const note = document.getElementById(button.getAttribute("popovertarget"));
  if (!note.showPopover) continue;
  const copy = document.createElement("button");
  copy.type = "button";
  copy.textContent = "Copy";
  copy.addEventListener("click", async () => {
    const text = [...note.querySelectorAll("code")].map((code) => code.textContent).join("\n");
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(note);
    }
  });
  note.append(copy);
  const show = () => {
    if (note.matches(":popover-open")) return;
    copy.textContent = "Copy";
    note.showPopover();
    const at = button.getBoundingClientRect();
    note.style.margin = "0";
    note.style.top = `${Math.max(0, Math.min(at.bottom, innerHeight - note.offsetHeight))}px`;
    note.style.left = `${Math.max(0, Math.min(at.left, innerWidth - note.offsetWidth - 16))}px`;
  };
  const leave = () =>
    setTimeout(() => {
      const used = note.matches(":hover, :focus-within") || button.matches(":hover, :focus");
      if (!used && note.matches(":popover-open")) note.hidePopover();
    }, 300);
  button.addEventListener("pointerenter", show);
  button.addEventListener("focus", show);
  for (const one of [button, note]) {
    one.addEventListener("pointerleave", leave);
    one.addEventListener("focusout", leave);
  }
}
