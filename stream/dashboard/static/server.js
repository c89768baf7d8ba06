/** Talking with the dashboard's server: requests with the session's CSRF token, and the stream of events. */

let csrf = "";

export async function session() {
  const known = await ask("api/session");
  csrf = known.csrf;
  return known;
}

/** Ask; throws an Error with a line for people, and the `status` of the answer where there was one. */
export async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST",
    headers: {"Content-Type": "application/json", "X-CSRF-Token": csrf},
    body: JSON.stringify(body),
  };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the dashboard does not answer: is it running?");
  }
  if (answer.status === 401) {
    location.reload();  // the session has ended: a new one, or the login
    throw new Error("the session has ended");
  }
  if (!answer.ok) throw Object.assign(new Error(await answer.text() || `the dashboard answers ${answer.status}`), {status: answer.status});
  return answer.json();
}

let source, retry;

/** Follow the parts of the page; `on` holds a function a part, `lost` and `found` hear of the connection. */
export function follow(channel, windowSeconds, on, lost, found) {
  source?.close();
  clearTimeout(retry);
  const query = new URLSearchParams({channel});
  if (windowSeconds) query.set("window_s", windowSeconds);
  source = new EventSource(`api/stream?${query}`);
  source.onopen = found;
  source.onerror = () => {
    lost();
    // EventSource gives up after an answer that is no stream; a dashboard that starts again may give one.
    if (source.readyState === EventSource.CLOSED) {
      retry = setTimeout(() => session().then(() => follow(channel, windowSeconds, on, lost, found), () => source.onerror()), 2000);
    }
  };
  for (const [part, take] of Object.entries(on)) source.addEventListener(part, event => take(JSON.parse(event.data)));
}
