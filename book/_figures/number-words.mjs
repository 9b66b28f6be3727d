// Whole numbers from 0 to 999,999 in words, as companion.data.number_words has them.

const [UNITS, TENS] = [
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen " +
    "fifteen sixteen seventeen eighteen nineteen",
  "twenty thirty forty fifty sixty seventy eighty ninety",
].map((words) => words.split(" "));
const [UNITES, DIZAINES] = [
  "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
  "vingt trente quarante cinquante soixante",
].map((words) => words.split(" "));

/** In English, a list of words. */
export function english(n) {
  if (n < 20) return [UNITS[n]];
  if (n < 100) return [TENS[Math.floor(n / 10) - 2], ...(n % 10 ? english(n % 10) : [])];
  const [size, name] = n < 1000 ? [100, "hundred"] : [1000, "thousand"];
  const rest = n % size;
  const and = rest && rest < 100 ? ["and"] : [];
  return [...english(Math.floor(n / size)), name, ...and, ...(rest ? english(rest) : [])];
}

/** In French. last: no other number follows, so that vingts and cents have their s. */
export function french(n, last = true) {
  if (n < 17) return [UNITES[n]];
  if (n < 20) return ["dix", UNITES[n - 10]];
  if (n < 80) {
    const tens = Math.min(Math.floor(n / 10), 6); // 70 is sixty and ten
    const rest = n - 10 * tens;
    const et = rest % 10 === 1 ? ["et"] : [];
    return [DIZAINES[tens - 2], ...et, ...(rest ? french(rest) : [])];
  }
  if (n < 100)
    return ["quatre", n === 80 && last ? "vingts" : "vingt", ...(n > 80 ? french(n - 80) : [])];
  const [size, name] = n < 1000 ? [100, "cent"] : [1000, "mille"];
  const [many, rest] = [Math.floor(n / size), n % size];
  const plural = size === 100 && many > 1 && !rest && last ? "s" : "";
  return [
    ...(many > 1 ? french(many, false) : []),
    name + plural,
    ...(rest ? french(rest, last) : []),
  ];
}
