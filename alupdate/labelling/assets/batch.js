"use strict";
const cards = [...document.querySelectorAll(".card")];
const count = document.querySelector("#count");
const save = document.querySelector("#save");

function answerOf(card) {
  const pressed = card.querySelector("button[aria-pressed=true]");
  return { label: card.querySelector("input").value.trim(), status: pressed ? pressed.dataset.status : "" };
}

function isDone(card) {
  const answer = answerOf(card);
  return answer.label !== "" || answer.status !== "";
}

function refresh() {
  for (const card of cards) card.classList.toggle("done", isDone(card));
  const done = cards.filter(isDone).length;
  count.textContent = `${done} of ${cards.length} answered`;
  save.disabled = done === 0;
}

function cell(text) {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

for (const card of cards) {
  const input = card.querySelector("input");
  const buttons = [...card.querySelectorAll("button[data-status]")];
  input.addEventListener("input", () => {
    for (const button of buttons) button.setAttribute("aria-pressed", "false");
    refresh();
  });
  for (const button of buttons) {
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") !== "true";
      for (const other of buttons) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(on));
      if (on) input.value = "";
      refresh();
    });
  }
  const accept = card.querySelector("button.accept");
  if (accept) {
    accept.addEventListener("click", () => {
      input.value = accept.dataset.label;
      input.dispatchEvent(new Event("input"));
    });
  }
}

save.addEventListener("click", () => {
  const rows = cards.filter(isDone).map((card) => {
    const answer = answerOf(card);
    return [card.dataset.instance, answer.label, answer.status].map(cell).join(",");
  });
  const text = ["instance,label,status", ...rows, ""].join("\n");
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "answers.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});

refresh();
