/** What is shown if there is no draft: what a draft is, and the ways to begin one. */
import { useState } from "preact/hooks";
import { readPolicyFile } from "../../draft/document";
import { currentTenant, replaceSections, startDraft } from "../../draft/draft_store";
import { go, href } from "../../router";
import { may } from "../../session";
import { Editor } from "../../ui/editor";
import { ErrorBox } from "../../ui/feedback";
import { useTask } from "../../ui/remote";
import { AppliedList } from "./applied_list";
import { Revisions } from "./revisions";

export function StartPage({ step }: { step: string }) {
  if (step === "file") return <FromFile />;
  if (step === "revisions") return <FromRevision />;
  return (
    <>
      <h1>Draft</h1>
      <p>
        A draft collects changes of policies. You see what they would have changed in the decisions
        of yesterday, then you apply all of them at once, and you can roll back. Until then, nothing
        changes for other users. The draft is kept in this tab only.
      </p>
      <div class="cards starts">
        <StartCard />
        <article class="panel">
          <h2>From a policy file</h2>
          <p class="soft">
            Paste a policy file in JSON, such as another person's draft. Its sections replace those
            in force.
          </p>
          <a class="button" href={href(["draft", "file"])}>
            Start from a policy file
          </a>
        </article>
        {may("ListChanges") && (
          <article class="panel">
            <h2>From an earlier revision</h2>
            <p class="soft">
              See who changed what, and return to the policies as they were: at once, or as a draft.
            </p>
            <a class="button" href={href(["draft", "revisions"])}>
              Return to an earlier revision
            </a>
          </article>
        )}
      </div>
      <AppliedList />
    </>
  );
}

function StartCard() {
  const task = useTask();
  const start = () =>
    task.run(async () => {
      await startDraft();
      go(["draft", "policies"]);
    });
  return (
    <article class="panel">
      <h2>From the policies in force</h2>
      <p class="soft">
        Take the policies of {currentTenant.value} as they are now, then add, edit and remove.
      </p>
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      <button
        type="button"
        class="primary"
        disabled={task.running.value}
        onClick={() => void start()}
      >
        {task.running.value ? "Starting…" : "Start a draft"}
      </button>
    </article>
  );
}

function FromFile() {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const task = useTask();
  const start = () =>
    task.run(async () => {
      const reading = readPolicyFile(text);
      setProblem(reading.problem ?? "");
      if (reading.document === undefined) return;
      await startDraft();
      replaceSections(reading.document);
      go(["draft"]);
    });
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void start();
      }}
    >
      <Back />
      <h1>Start from a policy file</h1>
      <p class="soft">
        JSON, as the API exports it: with <code>policies</code>, or the sections alone. A section of
        the file replaces that section; all others stay as they are.
      </p>
      <Editor label="Policy file" language="json" lines={14} value={text} onChange={setText} />
      {problem !== "" && (
        <p class="problem" role="alert">
          {problem}
        </p>
      )}
      {task.error.value !== undefined && <ErrorBox error={task.error.value} />}
      <footer class="form-foot">
        <button type="submit" class="primary" disabled={task.running.value || text.trim() === ""}>
          Start a draft
        </button>
      </footer>
    </form>
  );
}

function FromRevision() {
  return (
    <>
      <Back />
      <h1>Return to an earlier revision</h1>
      <p class="soft">
        Each change of the policies makes a revision. A rollback is a new change, so it can be
        rolled back too.
      </p>
      <Revisions />
    </>
  );
}

function Back() {
  return (
    <p class="small">
      <a href={href(["draft"])}>Draft</a>
    </p>
  );
}
