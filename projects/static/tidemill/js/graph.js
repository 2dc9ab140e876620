/* A graph larger than its frame opens where it begins: on its first layer, or on the task that the
   page is about. */

for (const graph of document.querySelectorAll("svg[data-start]")) {
  const frame = graph.closest(".tm-scroll");
  const [x, y] = graph.dataset.start.split(",").map(Number);
  const show = () => frame.scrollTo(x - frame.clientWidth / 2, y - frame.clientHeight / 2);
  show();
  new ResizeObserver((_, observer) => {
    // A tab that was not open has no size yet.
    if (frame.clientHeight) {
      show();
      observer.disconnect();
    }
  }).observe(frame);
}
