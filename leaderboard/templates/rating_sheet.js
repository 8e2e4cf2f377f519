"use strict";
const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const state = { rater: "", order: [], at: 0, heard: {}, ratings: {} };

// Storage is refused on some file:// pages; the ratings then last as long as the page.
const stored = (rater) => {
  try { return JSON.parse(localStorage.getItem(`${data.study}/${rater}`)); } catch { return null; }
};
const keep = () => {
  try { localStorage.setItem(`${data.study}/${state.rater}`, JSON.stringify(state)); } catch { /* as above */ }
};

const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

const shuffled = (items) => {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const limit = Math.floor(2 ** 32 / (last + 1)) * (last + 1);
    let drawn;
    do { [drawn] = crypto.getRandomValues(new Uint32Array(1)); } while (drawn >= limit);
    const other = drawn % (last + 1);
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
};

const current = () => data.clips[state.order[state.at]];
const given = (clip) => state.ratings[clip.code] ?? {};
const complete = (clip) => data.dimensions.every(({ name }) => given(clip)[name]);

const question = (clip, { name, question: text }) => {
  const scale = make("div", { className: "scale" });
  data.scale.forEach((label, index) => {
    const input = make("input", {
      type: "radio", name, value: String(index + 1), required: true,
      checked: given(clip)[name] === index + 1,
    });
    input.addEventListener("change", () => {
      state.ratings[clip.code] = { ...given(clip), [name]: index + 1 };
      keep();
    });
    scale.append(make("label", {}, input, `${index + 1} ${label}`));
  });
  return make("fieldset", {}, make("legend", { textContent: text }), scale);
};

const show = () => {
  const done = state.at >= state.order.length;
  $("begin").hidden = true;
  $("clip").hidden = done;
  $("end").hidden = !done;
  $("saving").hidden = false;
  $("hint").textContent = "";
  if (done) { $("player").pause(); return; }
  const clip = current();
  $("progress").textContent = `Clip ${state.at + 1} of ${state.order.length}`;
  $("bar").value = state.at / state.order.length;
  $("player").src = `clips/${clip.file}`;
  $("pictures").hidden = !clip.pictures.length;
  $("pictures").querySelector("div").replaceChildren(...clip.pictures.map(([file, caption]) =>
    make("figure", {}, make("img", { src: `clips/${file}`, alt: caption }),
      make("figcaption", { textContent: caption }))));
  $("description").hidden = !clip.description;
  $("description").querySelector("p").textContent = clip.description;
  $("script").replaceChildren(...clip.turns.flatMap(([speaker, text]) =>
    [make("dt", { textContent: speaker }), make("dd", { textContent: text })]));
  $("questions").replaceChildren(...data.dimensions.map((each) => question(clip, each)));
  $("back").disabled = state.at === 0;
};

const go = (step) => { state.at += step; keep(); show(); scrollTo(0, 0); };

const cell = (text) => {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return `"${safe.replaceAll('"', '""')}"`;
};
const csv = () => {
  const lines = [["rater", "clip", "dimension", "rating", "position"]];
  state.order.forEach((index, position) => {
    const clip = data.clips[index];
    for (const [name, value] of Object.entries(given(clip))) {
      lines.push([state.rater, clip.code, name, String(value), String(position + 1)]);
    }
  });
  return lines.map((line) => line.map(cell).join(",")).join("\r\n") + "\r\n";
};

$("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  state.rater = $("rater").value.trim();
  if (!state.rater) return;
  state.order = shuffled(data.clips.keys());
  Object.assign(state, stored(state.rater) ?? {});
  show();
});
$("clip").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!state.heard[current().code]) $("hint").textContent = "Please play the clip to its end first.";
  else if (complete(current())) go(1);
});
$("back").addEventListener("click", () => go(-1));
$("player").addEventListener("ended", () => {
  state.heard[current().code] = true;
  $("hint").textContent = "";
  keep();
});
$("player").addEventListener("error", () => {
  $("hint").textContent = "This clip cannot be played here; another browser may do it.";
});
$("download").addEventListener("click", () => {
  const link = make("a", {
    href: URL.createObjectURL(new Blob([csv()], { type: "text/csv" })),
    download: `ratings-${data.study}-${state.rater.replace(/[^\w-]+/g, "_")}.csv`,
  });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
});
