"""What people ask a language model, in ten kinds: the prompts of the race, and others to tune on.

All were written for the course. Heads have been trained on none of them: they learn from questions
that their trunk has asked itself, and from Python's standard library (see ``race.own_answers``).
"""

from __future__ import annotations

from collections.abc import Mapping

CHAT_PROMPTS: Mapping[str, tuple[str, ...]] = {
    "summarise": (
        "Summarise this report in three sentences.\n\n"
        "The lighthouse on Gull Rock was switched off last Tuesday after 142 years. Its lamp, "
        "which could be seen from nineteen miles away, has been replaced by a small electric "
        "beacon on the harbour wall that needs no keeper. The last keeper, Edith Marrow, lived on "
        "the rock for thirty-one years and kept a diary of every storm. The harbour office wants "
        "to turn the tower into a museum, but the bridge to the rock is unsafe and would cost "
        "more than the town collects in taxes in a year. A group of fishermen has offered to "
        "repair it without pay if the town buys the timber. The council will vote in March, and "
        "until then the tower stays closed.",
        "Give a short summary of what was decided at this meeting.\n\n"
        "The garden club met on Thursday evening in the school hall; fourteen members came. First "
        "the treasurer reported that the plant sale had brought in 412 pounds, of which 90 were "
        "spent on new tools. Then there was a long talk about the pond. Mr Okafor would like to "
        "fill it in, because the pump breaks every summer. Mrs Lindqvist would rather keep it for "
        "the frogs and buy a better pump. It was decided to keep the pond, to buy a solar pump "
        "for at most 200 pounds, and to ask the school whether pupils would like to help with the "
        "cleaning in April. The next meeting is on the ninth of May.",
    ),
    "edit": (
        "Change every verb in this text to the past tense and leave the rest as it is.\n\n"
        "Every morning Tom walks to the station and buys a newspaper. He reads the first page "
        "while he waits for the train. On the train he sits next to the window and looks at the "
        "fields. At the office he makes tea for everyone, opens the letters and answers the "
        "telephone. At noon he eats a sandwich in the park and feeds the sparrows. In the evening "
        "he takes the same train home, cooks soup and listens to the radio until he falls asleep.",
        "In the following letter, the name Miller is wrong; it should be Mellor. Write the letter "
        "again with the right name.\n\n"
        "Dear Mrs Miller,\nthank you for your order of the third of June. The two oak shelves "
        "will be ready next week, and our driver will bring them to the Miller house on Friday "
        "between nine and twelve. Please make sure that somebody is at home. If Friday does not "
        "suit you, Mrs Miller, call us until Wednesday evening. The bill will be sent to Miller "
        "and Sons, as you wished.\nYours sincerely,\nHarbour Joiners",
    ),
    "code": (
        "Rename the variable `t` to `total` and the variable `x` to `price` in this Python "
        "function, and write out the whole function.\n\n"
        "```python\ndef invoice(items, tax, discount=0.0):\n    t = 0.0\n    for x in items:\n"
        "        if x < 0:\n            raise ValueError('negative price')\n"
        "        t += x * (1.0 + tax)\n    if t > 100.0:\n        t -= t * discount\n"
        "    return round(t, 2)\n```",
        "Write a Python class `Counter` with the methods `increment`, `decrement`, `reset` and "
        "`value`. Give each method a one-line docstring.",
    ),
    "extract": (
        "List every person in this text together with the town in which he or she lives.\n\n"
        "Anna Berger has lived in Graz since she was a child, and her brother Paul moved to Linz "
        "two years ago. On Sunday they met their cousin Sofia Conti, who had come from Trieste by "
        "train, and her husband Marco, who works in Udine and lives there during the week. Their "
        "neighbour in Graz, Josef Wimmer, had baked a cake. The only one missing was old Klara "
        "Nemeth: from Szeged, where she lives, the journey is too long for her now.",
        "Copy from this text every sentence that contains a number.\n\n"
        "The bakery opens at 6 in the morning. The smell of bread fills the whole street. Its "
        "owner, a quiet man, bakes 240 rolls a day. Most of them are sold before school begins. "
        "On Saturdays there are also 15 cakes with plums. Nobody knows the recipe. When the "
        "bakery was built in 1931, it had one oven. Today the oven is a small museum piece in the "
        "window.",
    ),
    "chat": (
        "I have just moved to a new city and do not know anybody here. How do I meet people?",
        "My cat wakes me up at five every morning. What could I do about it?",
    ),
    "list": (
        "Name twelve things to pack for a week of camping by the sea, one a line, each with a "
        "reason of a few words.",
        "Give me ten ideas for a rainy afternoon with two small children, as a numbered list.",
    ),
    "arithmetic": (
        "A train leaves at 9:40 and arrives at 13:05. It stops for 5 minutes at each of 4 "
        "stations. How many minutes does it move? Work it out step by step.",
        "Compute 17 times 6, 17 times 7, 17 times 8 and 17 times 9, and then their sum. Show "
        "every step.",
    ),
    "translate": (
        "Translate into Spanish: The old man goes to the market every Saturday. He buys bread, "
        "cheese and apples. Then he sits in the sun in front of the church and talks with his "
        "friends about the weather.",
        "Translate these sentences into German, one by one:\n1. Where is the station?\n"
        "2. The train is late today.\n3. I would like a cup of tea.\n4. My sister lives in a "
        "small village.\n5. We will see each other tomorrow.",
    ),
    "structured data": (
        "Write these records as a JSON array of objects with the keys name, age, city and job.\n\n"
        "Maria Silva is 34 years old, lives in Porto and is a nurse.\nJonas Weber is 41 years "
        "old, lives in Bremen and is a carpenter.\nAiko Tanaka is 28 years old, lives in Osaka "
        "and is a teacher.\nLuc Moreau is 55 years old, lives in Lyon and is a baker.",
        "Turn this table into a Markdown table, sorted by country.\n\n"
        "river, country, length in km\nLoire, France, 1006\nElbe, Germany, 1094\nEbro, Spain, 930\n"
        "Po, Italy, 652\nVistula, Poland, 1047\nTagus, Portugal, 1007",
    ),
    "story": (
        "Tell me a story about a clockmaker who finds a clock that runs backwards.",
        "Write the beginning of a story in which a girl finds a door in the trunk of an old tree.",
    ),
}
"""Kind → prompts that are reported."""

TUNING_PROMPTS: Mapping[str, tuple[str, ...]] = {
    "summarise": (
        "Say in two sentences what this article is about.\n\n"
        "The mountain railway to Hohenfeld will run through the winter for the first time. Until "
        "now it closed in October, because snow often blocks the upper half of the line. A "
        "snow plough that was bought second-hand in Norway is to keep the track free. Three "
        "trains a day are planned, two more on Sundays. Hotel owners in the village are pleased: "
        "they hope for guests who come without a car. The forester is less happy, since deer "
        "cross the line in winter. The railway has promised to drive slowly at dusk and to whistle "
        "before every bend.",
    ),
    "edit": (
        "Write this text again with the word 'boat' instead of 'ship' everywhere.\n\n"
        "The ship left the harbour at dawn. It was a small ship with a red sail, and the people "
        "on the quay waved until the ship was out of sight. For two days the ship sailed north. On "
        "the third day a storm came up, and the captain turned the ship towards the islands. When "
        "the wind fell, the ship lay safe in a bay, and the crew slept on the deck of the ship.",
    ),
    "code": (
        "Add a check to this Python function that raises a ValueError if `rows` is empty, and "
        "print the complete function.\n\n"
        "```python\ndef column_means(rows):\n    sums = [0.0] * len(rows[0])\n"
        "    for row in rows:\n        for i, value in enumerate(row):\n"
        "            sums[i] += value\n    return [each / len(rows) for each in sums]\n```",
    ),
    "extract": (
        "Write down each animal in this text and what it eats.\n\n"
        "On the farm the day begins with noise. The two donkeys get hay, and the old horse gets "
        "oats with a carrot. The hens pick their grain from the ground while the geese eat grass "
        "behind the barn. The cat waits for her milk. The dog would eat anything, but he gets "
        "boiled rice with meat. Last of all come the rabbits, who are fed on clover.",
    ),
    "chat": ("I would like to learn to play the piano at forty. Is it too late?",),
    "list": ("List eight small habits that save electricity at home, with one sentence on each.",),
    "arithmetic": (
        "A shop sells pens at 3 for 2 euros. How much do 18 pens cost, and how many pens does "
        "one get for 14 euros? Explain each step.",
    ),
    "translate": (
        "Translate into French: My brother works in a bakery. He gets up at three in the morning "
        "and comes home at noon. On Sundays he sleeps until ten, and then we have breakfast "
        "together in the garden.",
    ),
    "structured data": (
        "Make a JSON array with an object for each book, with the keys title, author and year.\n\n"
        "The Stone Garden by Ruth Alder appeared in 1987.\nNine Rivers by Tomas Hale appeared in "
        "1994.\nA Map of Rain by Ines Duarte appeared in 2003.\nWinter Bread by Olaf Strand "
        "appeared in 2011.",
    ),
    "story": ("Tell a story about two brothers who build a boat out of old doors.",),
}
"""Kind → prompts on which settings are chosen; no result on them is reported."""
