// The shared worker: one stream of news for every page of this browser, and the timer that notices when it stops.
// Timers of a hidden page are slowed down; those of a worker are not.

const AGAIN_MS = 1000; // between two attempts to open the stream
const DEAD_MS = 5000; // a stream without an event for this long is opened anew
const LOST_MS = 3000; // without an event for this long, every page says that it is old

const pages = new Set();
let source = null;
let opened = -Infinity;
let heard = performance.now();

function tell(message) {
  for (const page of pages) page.postMessage(message);
}

function open() {
  opened = performance.now();
  source?.close();
  source = new EventSource("/stream");
  source.onmessage = (event) => {
    heard = performance.now();
    tell({ news: JSON.parse(event.data) });
  };
}

// a proxy's error ends an EventSource for good, and a half-open connection says nothing: so a new one each time
setInterval(() => {
  const quiet = performance.now() - heard;
  const tried = performance.now() - opened;
  if ((source.readyState === EventSource.CLOSED && tried >= AGAIN_MS) || (quiet >= DEAD_MS && tried >= DEAD_MS)) open();
  if (quiet >= LOST_MS) tell({ quiet });
}, 500);

self.onconnect = (event) => {
  const page = event.ports[0];
  pages.add(page);
  page.onmessage = ({ data }) => {
    if (data.leaving) pages.delete(page);
  };
  if (source === null) open();
};
