// The source of the numbers: the server. In an exported page, `stored.js` takes this module's place.
export const live = true, canDraw = true;

export async function state() {
  const answer = await fetch("state");
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

// Calls `take` with every answer to a question, as it arrives.
export async function ask(question, take, signal) {
  const answer = await fetch("ask", { method: "POST", body: JSON.stringify(question), signal });
  if (!answer.ok) throw new Error(await answer.text());
  if (answer.status === 204) return;
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) {
      const reply = JSON.parse(line);
      if (reply.error) throw new Error(reply.error);
      take(reply);
    }
  }
}
