"""Does SmolLM2-135M compute with the country and with the relation of a question about a country?

    Japan capital: Tokyo. Japan language: Japanese. Japan continent: Asia. France capital:  ->  Paris

Writes a table of pairs, swaps whole states at every layer and position, and searches both variables where that works.
Run it with `python examples/smollm2.py FOLDER OUT`, where FOLDER holds the model (safetensors or GGUF);
`docs/results/smollm2.md` has the results.
"""

import random
import sys
from pathlib import Path

import polars as pl
import torch

import symscope as sc
from symscope.figures import locations, save_figure
from symscope.wrapped import CausalLM

RELATIONS = ("capital", "language", "continent")
PROMPT = "Japan capital: Tokyo. Japan language: Japanese. Japan continent: Asia. {} {}:"
SHARES = {"train": 0.5, "validation": 0.2, "test": 0.3}  # of the countries: test countries are held out
SIZES = {
    "train": {"both": 200, "cause": 100},
    "validation": {"both": 40, "cause": 60},
    "test": {"both": 200, "cause": 70, "isolation": 70},
}
"""Pairs for each variable, by how base and source differ: in both variables, in it alone, in the other alone."""
WORDS = """
France Paris French Europe, Germany Berlin German Europe, Italy Rome Italian Europe, Spain Madrid Spanish Europe,
Portugal Lisbon Portuguese Europe, Greece Athens Greek Europe, Poland Warsaw Polish Europe,
Russia Moscow Russian Europe, Sweden Stockholm Swedish Europe, Norway Oslo Norwegian Europe,
Denmark Copenhagen Danish Europe, Finland Helsinki Finnish Europe, Hungary Budapest Hungarian Europe,
Austria Vienna German Europe, Ireland Dublin English Europe, England London English Europe,
Netherlands Amsterdam Dutch Europe, Belgium Brussels Dutch Europe, Turkey Ankara Turkish Asia,
Ukraine Kiev Ukrainian Europe, Romania Bucharest Romanian Europe, Bulgaria Sofia Bulgarian Europe,
Iceland Reykjavik Icelandic Europe, Scotland Edinburgh English Europe, China Beijing Chinese Asia,
Korea Seoul Korean Asia, Vietnam Hanoi Vietnamese Asia, Thailand Bangkok Thai Asia, Iran Tehran Persian Asia,
Iraq Baghdad Arabic Asia, Egypt Cairo Arabic Africa, Syria Damascus Arabic Asia, Lebanon Beirut Arabic Asia,
Israel Jerusalem Hebrew Asia, Afghanistan Kabul Persian Asia, Pakistan Islamabad Urdu Asia,
Nepal Kathmandu Nepali Asia, Indonesia Jakarta Indonesian Asia, Philippines Manila Filipino Asia,
Kenya Nairobi Swahili Africa, Ethiopia Addis Amharic Africa, Mexico Mexico Spanish North,
Brazil Brasilia Portuguese South, Argentina Buenos Spanish South, Chile Santiago Spanish South,
Peru Lima Spanish South, Cuba Havana Spanish North, Venezuela Caracas Spanish South, Colombia Bogota Spanish South,
Canada Ottawa English North, Libya Tripoli Arabic Africa, Morocco Rabat Arabic Africa, Tunisia Tunis Arabic Africa,
Nigeria Abuja English Africa, Ghana Accra English Africa, Sudan Khartoum Arabic Africa,
Zimbabwe Harare English Africa, Jamaica Kingston English North, Australia Canberra English Australia,
Malaysia Kuala Malay Asia, India Delhi Hindi Asia, Bangladesh Dhaka Bengali Asia, Serbia Belgrade Serbian Europe,
Croatia Zagreb Croatian Europe, Latvia Riga Latvian Europe, Switzerland Bern German Europe,
Algeria Algiers Arabic Africa, Senegal Dakar French Africa, Uganda Kampala English Africa,
Somalia Mogadishu Somali Africa, Wales Cardiff Welsh Europe, Mongolia Ulan Mongolian Asia,
Cambodia Phnom Khmer Asia, Estonia Tallinn Estonian Europe, Ecuador Quito Spanish South,
Bolivia Sucre Spanish South, Angola Luanda Portuguese Africa, Georgia Tbilisi Georgian Asia,
Armenia Yerevan Armenian Asia, Albania Tirana Albanian Europe
"""
"""Country, capital, language, continent (of America: North or South)."""

Question = tuple[str, str]


def facts() -> dict[Question, str]:
    rows = [entry.split() for entry in WORDS.replace("\n", " ").split(",")]
    return {(row[0], relation): answer for row in rows for relation, answer in zip(RELATIONS, row[1:], strict=True)}


@torch.no_grad()
def known_facts(network: CausalLM) -> dict[Question, str]:
    """The facts whose answer is a single token and the network's first choice."""
    every, encode = facts(), network.tokenizer
    answers = {question: encode(" " + answer)["input_ids"] for question, answer in every.items()}
    single = [question for question, ids in answers.items() if len(ids) == 1]
    known = []
    for start in range(0, len(single), 32):
        some = single[start : start + 32]
        tokens = torch.tensor([encode(PROMPT.format(*question))["input_ids"] for question in some])
        guesses = network.readout(network.features(tokens)[:, -1]).argmax(-1).tolist()
        known += [question for question, guess in zip(some, guesses, strict=True) if [guess] == answers[question]]
    for relation in RELATIONS:
        counts = [sum(name == relation for _, name in part) for part in (known, single)]
        print(f"{relation}: {counts[0]} of {counts[1]} facts are known")
    return {question: every[question] for question in known}


def pairs(known: dict[Question, str], seed: int = 0) -> list[dict[str, object]]:
    """Pairs for each variable; the label and the answers of base and source are known facts."""
    draws = random.Random(seed)
    countries = sorted({country for country, _ in known})
    draws.shuffle(countries)
    rows, first = [], 0
    for split, share in SHARES.items():
        last = len(countries) if split == "test" else first + round(share * len(countries))
        questions = [question for question in known if question[0] in countries[first:last]]
        first = last
        for variable in ("country", "relation"):
            by_kind: dict[str, list[dict[str, object]]] = {kind: [] for kind in SIZES[split]}
            for base in questions:
                for source in questions:
                    kind, row = pair(known, variable, base, source)
                    if kind in by_kind:
                        by_kind[kind].append({**row, "split": split})
            for kind, size in SIZES[split].items():
                draws.shuffle(by_kind[kind])
                rows += by_kind[kind][:size]
    return rows


def pair(known: dict[Question, str], variable: str, base: Question, source: Question) -> tuple[str, dict[str, object]]:
    """A pair and its kind, which is empty for a pair that tells nothing."""
    swapped = (source[0], base[1]) if variable == "country" else (base[0], source[1])
    differ = {name for name, old, new in zip(("country", "relation"), base, source, strict=True) if old != new}
    label = known.get(swapped)
    if label is None or known[base] == known[source] or (variable in differ and label == known[base]):
        return "", {}
    kind = "both" if len(differ) == 2 else "cause" if differ == {variable} else "isolation" if differ else ""
    if kind == "both" and label == known[source]:
        return "", {}
    return kind, {
        "variable": variable,
        "base": PROMPT.format(*base),
        "source": PROMPT.format(*source),
        "label": f" {label}",
        "base_label": f" {known[base]}",
        "source_label": f" {known[source]}",
        "base_values": dict(zip(("country", "relation"), base, strict=True)),
        "source_values": dict(zip(("country", "relation"), source, strict=True)),
        "cluster": swapped[0],
    }


def main(folder: Path, out: Path, interventions: int = 80) -> sc.Results:
    out.mkdir(parents=True, exist_ok=True)
    network = sc.load_causal_lm(folder)
    pl.DataFrame(pairs(known_facts(network))).write_parquet(out / "pairs.parquet")
    data = sc.CounterfactualData.from_table(out / "pairs.parquet", tokenizer=network.tokenizer, name="facts")
    print(data)
    sites = ["resid_pre.0", "resid_post.*"]
    located = sc.locate(network, data, sites=sites, positions=[-3, -2, -1], interventions=interventions)
    print(located)
    located.table().write_csv(out / "locations.csv")
    save_figure(locations(located.table()), out, "locations")
    results = sc.align(
        network,
        sc.stop_at(data, located.best.position),
        k=[8, 32],
        site=located.best.site,
        function=sc.Oblique(coordinates="natural-span"),
        options=sc.SearchOptions(steps=50, batch=64, patience=2),
        controls=[sc.ShuffledLabels(), sc.RandomSubspace(), sc.PrincipalComponents(), sc.WholeState()],
    )
    for result in results.all:
        print(result)
    print(results)
    results.table().write_csv(out / "scores.csv")
    results.save(out / "results.safetensors")
    return results


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
