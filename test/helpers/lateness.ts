// How late this process is: what a busy machine adds to a time that is measured in here, and what no test is about.

const EVERY_MS = 20;
/** A timer may be so late where nothing is wrong. */
const USUAL_MS = 10;

/** Begins to measure. The function that it returns ends that, and tells the milliseconds lost since. */
export function lateness(): () => number {
  let late = 0;
  let last = performance.now();
  const look = () => {
    const over = performance.now() - last - EVERY_MS;
    if (over > USUAL_MS) late += over;
    last = performance.now();
  };
  const timer = setInterval(look, EVERY_MS).unref();
  return () => {
    clearInterval(timer);
    look();
    return late;
  };
}
