"""Ordinary texts, on which the cost class of a pattern is measured: see `pattern_cost`.

The texts ship with the engine, so that a pattern has the same class everywhere. Each has about 200
characters. There are ten kinds with four texts each: prose in six languages, program code, JSON,
tables of numbers, and logs. They hold nothing that a narrow rule looks for.
"""

# ruff: noqa: RUF001 - prose in other languages has letters that look like Latin ones

from __future__ import annotations

from typing import Final

_ENGLISH: Final = (
    "The committee met on Tuesday to discuss the new library. Most members liked the plan, but "
    "two of them asked for a larger reading room and better lamps near the windows on the "
    "north side.",
    "Could you please summarise the attached report for me? I need three short points that a "
    "busy manager can read in a minute. Leave out the history and say what we should do next "
    "week.",
    "Stir the flour into the melted butter, then add warm milk slowly. Keep stirring until the "
    "sauce is smooth. Season it with salt and pepper, and serve it while it is hot, with some "
    "bread.",
    "We missed the last train, so we walked along the river until the sun came up. We were not "
    "tired. At the old bridge a man sold coffee from a cart and told us how the town used to "
    "look.",
)
_GERMAN: Final = (
    "Der Ausschuss traf sich am Dienstag, um über die neue Bücherei zu sprechen. Die meisten "
    "waren für den Plan, aber zwei wünschten sich einen größeren Lesesaal und bessere Lampen "
    "am Fenster.",
    "Bitte fassen Sie den Bericht in drei kurzen Sätzen zusammen. Ein Leser mit wenig Zeit "
    "soll sofort verstehen, was wir nächste Woche tun wollen. Die Vorgeschichte können Sie "
    "weglassen.",
    "Das Mehl in die zerlassene Butter rühren und langsam warme Milch zugeben. So lange "
    "rühren, bis die Soße glatt ist. Mit Salz und Pfeffer abschmecken und heiß mit etwas Brot "
    "servieren.",
    "Wir hatten den letzten Zug verpasst und gingen am Fluss entlang, bis die Sonne aufging. "
    "Niemand war müde. An der alten Brücke verkaufte ein Mann Kaffee und erzählte von früher.",
)
_FRENCH: Final = (
    "Le comité s'est réuni mardi pour parler de la nouvelle bibliothèque. La plupart des "
    "membres aiment le projet, mais deux d'entre eux demandent une salle plus grande et de "
    "vraies lampes.",
    "Pouvez-vous résumer ce rapport en trois phrases courtes ? Un lecteur pressé doit "
    "comprendre tout de suite ce que nous ferons la semaine prochaine. L'historique n'est pas "
    "nécessaire.",
    "Mélangez la farine au beurre fondu, puis versez le lait chaud peu à peu. Remuez jusqu'à "
    "ce que la sauce soit lisse. Ajoutez du sel et du poivre, et servez aussitôt avec du pain.",
    "Nous avions manqué le dernier train, alors nous avons marché le long du fleuve jusqu'à "
    "l'aube. Près du vieux pont, un homme vendait du café et racontait la ville d'autrefois.",
)
_SPANISH: Final = (
    "El comité se reunió el martes para hablar de la nueva biblioteca. A la mayoría le gustó "
    "el plan, pero dos personas pidieron una sala de lectura más grande y mejores lámparas.",
    "¿Puede resumir este informe en tres frases cortas? Un lector con prisa debe entender "
    "enseguida qué haremos la próxima semana. La historia del proyecto no hace falta esta vez.",
    "Mezcle la harina con la mantequilla fundida y añada la leche tibia poco a poco. Remueva "
    "hasta que la salsa quede lisa. Ponga sal y pimienta, y sírvala caliente con un poco de "
    "pan.",
    "Perdimos el último tren y caminamos junto al río hasta que salió el sol. Nadie tenía "
    "sueño. Cerca del puente viejo un hombre vendía café y contaba cómo era antes la ciudad.",
)
_RUSSIAN: Final = (
    "Комитет собрался во вторник, чтобы обсудить новую библиотеку. Большинству план "
    "понравился, но двое попросили читальный зал побольше и хорошие лампы у окон с северной "
    "стороны.",
    "Пожалуйста, перескажите этот отчёт в трёх коротких предложениях. Занятой читатель должен "
    "сразу понять, что мы будем делать на следующей неделе. История проекта сейчас не нужна.",
    "Смешайте муку с растопленным маслом и понемногу влейте тёплое молоко. Мешайте, пока соус "
    "не станет гладким. Добавьте соль и перец и подавайте горячим, с хлебом и зеленью.",
    "Мы опоздали на последний поезд и шли вдоль реки до самого рассвета. Никто не устал. У "
    "старого моста человек продавал кофе и рассказывал, каким город был раньше.",
)
_JAPANESE: Final = (
    "委員会は火曜日に集まり、新しい図書館について話し合いました。多くの人は計画に賛成でしたが、"
    "二人はもっと広い閲覧室と、北側の窓の近くに明るい照明がほしいと言いました。次の会議は来月で"
    "す。",
    "この報告書を三つの短い文にまとめてください。忙しい人でもすぐに読めるように、来週何をするべ"
    "きかを先に書いてください。これまでの経緯は省いてかまいません。専門用語も避けてください。",
    "溶かしたバターに小麦粉を混ぜ、温めた牛乳を少しずつ加えます。なめらかになるまで混ぜ続け、塩"
    "と胡椒で味をととのえます。熱いうちにパンと一緒に出してください。野菜を添えてもよいでしょう"
    "。",
    "終電に乗り遅れたので、日が昇るまで川沿いを歩きました。だれも疲れていませんでした。古い橋の"
    "そばで男の人がコーヒーを売っていて、昔の町の様子を話してくれました。とても静かな朝でした。",
)
_CODE: Final = (
    "def total(orders):\n    amount = 0\n    for order in orders:\n        if "
    "order.paid:\n            amount += order.price * order.count\n    return round(amount, "
    "2)\n\n\nprint(total(load_orders()))\n",
    "const rows = items.filter((item) => item.active).map((item) => ({\n  id: item.id,\n  "
    "label: item.name.trim(),\n  size: Math.min(item.size, limit),\n}));\nrender(rows);\n",
    "SELECT c.name, COUNT(o.id) AS orders\nFROM customers c\nLEFT JOIN orders o ON o.customer "
    "= c.id\nWHERE c.active = TRUE\nGROUP BY c.name\nORDER BY orders DESC\nFETCH FIRST ROW ONLY",
    "#include <stdio.h>\n\nint main(void) {\n    for (int i = 0; i < 10; i++) {\n        "
    'printf("%d squared is %d\\n", i, i * i);\n    }\n    return 0;\n}\n// end of the file\n',
)
_JSON: Final = (
    '{"order": "A-17", "items": [{"name": "lamp", "count": 2, "price": 39.5}, {"name": '
    '"chair", "count": 4, "price": 120}], "paid": true, "note": null, "shop": "north"}',
    '{"tool": "search_files", "arguments": {"path": "docs", "query": "opening hours", "limit": '
    '20}, "options": {"recursive": true, "hidden": false}, "step": 3}',
    '[{"city": "Oslo", "temperature": -3.5, "wind": "light"}, {"city": "Rome", "temperature": '
    '14, "wind": "strong"}, {"city": "Lima", "temperature": 22.1, "wind": null}]',
    '{"title": "Plan", "tags": ["draft", "team"], "done": false, "owner": {"first": "Kim", '
    '"role": "editor"}, "weeks": 6, "history": [], "score": 0.82, "links": {"next": '
    '"/plans/7"}}',
)
_NUMBERS: Final = (
    "item    count   price   total\nlamp    12      39.50   474.00\nchair   4       120.00  "
    "480.00\ntable   1       349.90  349.90\nshelf   7       85.25   596.75\nsum     "
    "24              1900.65\n",
    "3.14 2.72 1.62 0.58 1.20 4.67 2.50 0.92 1.41 1.73 2.24 2.65 3.16 0.69 1.10 1.61 1.95 "
    "2.08\n10 20 30 45 60 75 90 105 120 135 150 165 180 195 210 225 240 255 270 285 300 315 "
    "330\n",
    "month,sales,cost\n1,18250,12100\n2,17400,11950\n3,21130,13020\n4,19875,12640\n"
    "5,23310,14005\n6,22760,13880\n7,25040,14720\n8,24155,14390\n9,20990,13110\n"
    "10,21820,13470\n11,26400,15010\n",
    "0.0 0.1 0.3 0.6 1.0 1.5\n2.1 2.8 3.6 4.5 5.5 6.6\n7.8 9.1 10.5 12.0 13.6 15.3\n17.1 19.0 "
    "21.0 23.1 25.3 27.6\n30.0 32.5 35.1 37.8 40.6 43.5\n46.5 49.6 52.8 56.1 59.5 63.0\n",
)
_LOGS: Final = (
    "2026-03-02T08:14:07Z INFO server started port=8080 workers=2\n2026-03-02T08:14:09Z INFO "
    "request path=/orders status=200 ms=12\n2026-03-02T08:14:11Z WARN queue is half full "
    "size=512 of=1024\n",
    "Mar  2 08:20:31 web-1 kernel: eth0: link is up, full duplex\nMar  2 08:20:35 web-1 cron: "
    "(backup) run /usr/bin/backup --all\nMar  2 08:21:02 web-1 backup: copied 1841 files in 26 "
    "s\n",
    "[main] DEBUG Cache - miss for key user-list, loading\n[main] DEBUG Cache - loaded 37 "
    "entries\n[worker-3] ERROR Mail - cannot connect, will try again in 30 s\n[worker-3] INFO "
    "Mail - sent\n",
    "run 1: 20 passed, 0 failed, 3 skipped (4.2 s)\nrun 2: 19 passed, 1 failed, 3 skipped (4.5 "
    "s)\n  test_totals: expected 12, got 11\nrun 3: 20 passed, 0 failed, 3 skipped (4.1 s)\n"
    "done\n",
)

_KINDS: Final = (
    _ENGLISH,
    _CODE,
    _GERMAN,
    _JSON,
    _RUSSIAN,
    _NUMBERS,
    _FRENCH,
    _LOGS,
    _JAPANESE,
    _SPANISH,
)

ORDINARY_TEXTS: Final[tuple[str, ...]] = tuple(
    text for texts in zip(*_KINDS, strict=True) for text in texts
)
"""One text of each kind, then the second of each, and so on."""
