"""How the list of works is sorted, and what tells apart two works that are cited alike.

A letter without its accents decides the place, so that Řehůřek stands at R; two works of the same
names and year are 2013a and 2013b, in the list and wherever they are cited.
"""

import unicodedata
from collections import defaultdict
from string import ascii_lowercase

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting import plain
from pybtex.style.sorting import author_year_title


def plain_letters(text):
    """Without accents, in lower case."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(part for part in parts if not unicodedata.combining(part)).lower()


def cited_as(entry):
    """Names and year of a citation: the first name alone where there are more than two."""
    names = [(*person.prelast_names, *person.last_names) for person in entry.persons["author"]]
    return tuple(names if len(names) < 3 else [names[0], "et al."]), entry.fields["year"]


def with_letter(entry, letter):
    """The entry with a letter behind its year; the one that was given stays as it is."""
    new = Entry(entry.type, entry.fields.items(), entry.persons)
    new.key = entry.key
    new.fields["year"] += letter
    return new


class Sorting(author_year_title.SortingStyle):
    def person_key(self, person):
        last = person.rich_prelast_names + person.rich_last_names
        first = person.rich_first_names + person.rich_middle_names
        return "  ".join(plain_letters(" ".join(map(str, part))) for part in (last, first))

    def sort(self, entries):
        """In order; references take the entries from here, too, and so have the same years."""
        found = super().sort(entries)
        alike = defaultdict(list)
        for entry in found:
            alike[cited_as(entry)].append(entry.key)
        letters = {
            key: letter
            for keys in alike.values()
            if len(keys) > 1
            for key, letter in zip(keys, ascii_lowercase, strict=False)
        }
        return [
            with_letter(entry, letters[entry.key]) if entry.key in letters else entry
            for entry in found
        ]


class Works(plain.Style):
    default_sorting_style = Sorting


def setup(app):
    register_plugin("pybtex.style.formatting", "works", Works)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
