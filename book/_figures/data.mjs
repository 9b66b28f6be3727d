// Numbers that a figure needs, such as the weights of a trained model.

/** The bytes of book/_figures/data/NAME; they are loaded when they are first asked for. */
export async function bytes(name) {
  const text = await window.computed.load(name);
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
}
