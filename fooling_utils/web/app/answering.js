// In a worker: one answer for every question, one at a time, whatever happens. An Error's message is for the reader.

// answers: functions by the question's name, from (values, buffers) to {facts, buffers}; facts are what Python sends.
export function answer(answers) {
  let before = Promise.resolve();
  self.addEventListener("message", ({ data: { question, buffers } }) => {
    const { id, ask } = question;
    before = before.then(async () => {
      try {
        if (!Object.hasOwn(answers, ask)) throw new Error(`The page asked ${ask}, which has no answer.`);
        const found = await answers[ask](question.with || {}, buffers);
        self.postMessage({ facts: { id, ask, ...found.facts }, buffers: found.buffers || [] });
      } catch (error) {
        self.postMessage({ facts: { id, ask, error: error.message || String(error) }, buffers: [] });
      }
    });
  });
}

export const tellProgress = (progress) => self.postMessage({ progress });
