import { Repo, splice } from "driftline";

interface Note {
  title: string;
  body: string;
}

/** Opens a notebook, writes a note, and waits until the relay has it. */
export async function firstDocument(relay: string, notebook: string) {
  const repo = await Repo.open({ relays: [relay] });
  const space = repo.space(notebook); // whoever says the same name means the same space

  const note = space.create<Note>({ title: "Harbour", body: "Ships" });
  note.on("change", ({ doc, source }) => console.log(source, doc.title, doc.body));
  note.on("saved", ({ level }) => console.log("saved:", level)); // memory, device, replicas

  note.change((d) => {
    d.title = "The harbour"; // shows at once, saved and sent in the background
    splice(d, ["body"], 5, 0, " and gulls"); // merges with what others write meanwhile
  });

  await note.whenSaved({ relays: 1 });
  return { repo, note };
}
