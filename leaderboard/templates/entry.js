// A word that was heard starts the player there, and is marked while it plays.
for (const article of document.querySelectorAll("article")) {
  const player = article.querySelector("audio, video");
  const words = [...article.querySelectorAll("[data-at]")];
  if (!player) continue;
  article.classList.add("played");
  for (const word of words) {
    word.addEventListener("click", () => {
      player.currentTime = word.dataset.at;
      player.play();
    });
  }
  player.addEventListener("timeupdate", () => {
    const now = words.filter((word) => word.dataset.at <= player.currentTime).pop();
    for (const word of words) word.classList.toggle("now", word === now && !player.paused);
  });
}
