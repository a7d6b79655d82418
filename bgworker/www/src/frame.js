// What is drawn, once a frame: what was planned since the last one is done together, each job once.
//
// A job writes to the page and asks for no size or place, since that would lay out the page in the middle of it.  What depends on
// those, such as the end of a conversation, is done by an observer (ResizeObserver, IntersectionObserver): these run once the
// frame is laid out.
const HIDDEN_MS = 500; // a page that nobody sees has no frames
const planned = new Set();
let frame;
let timer;

function run() {
  cancelAnimationFrame(frame);
  clearTimeout(timer);
  const jobs = [...planned];
  planned.clear(); // what a job plans is for the next frame
  for (const job of jobs) {
    try {
      job();
    } catch (error) {
      reportError(error);
    }
  }
}

export function nextFrame(job) {
  if (!planned.size) {
    frame = requestAnimationFrame(run);
    timer = setTimeout(run, HIDDEN_MS);
  }
  planned.add(job);
}

// A function that does the work at its first call, and then at most once in so many milliseconds, for all calls since.  now() does
// at once what waits.
export function atMostEvery(ms, work) {
  let timer;
  let last = -Infinity;
  const now = () => {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    last = performance.now();
    work();
  };
  const plan = () => {
    timer ??= setTimeout(now, Math.max(0, last + ms - performance.now()));
  };
  return Object.assign(plan, { now });
}

// Only what is different is written: each write makes the browser lay out again.
export function setText(node, words) {
  if (node.textContent !== words) node.textContent = words;
}
