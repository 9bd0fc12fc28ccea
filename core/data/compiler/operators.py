"""Tables of aggregation operators by the shape of their operand; read by ``expressions``.

Only operators without side effects, server state or code, as of MongoDB 6.0.
"""

from __future__ import annotations

MANY = 10_000

# Operands by position: how few and how many.
POSITIONAL: dict[str, tuple[int, int]] = {
    **dict.fromkeys(
        (
            # arithmetic and trigonometry
            *("$abs", "$ceil", "$exp", "$floor", "$ln", "$log10", "$sqrt"),
            *("$sin", "$cos", "$tan", "$asin", "$acos", "$atan", "$sinh", "$cosh", "$tanh"),
            *("$asinh", "$acosh", "$atanh", "$degreesToRadians", "$radiansToDegrees"),
            # arrays, objects, sets
            *("$arrayToObject", "$objectToArray", "$reverseArray", "$size", "$isArray"),
            *("$allElementsTrue", "$anyElementTrue"),
            # booleans, strings, types
            *("$not", "$strLenBytes", "$strLenCP", "$toLower", "$toUpper"),
            *("$type", "$isNumber", "$toBool", "$toDate", "$toDecimal", "$toDouble", "$toInt"),
            *("$toLong", "$toObjectId", "$toString", "$binarySize", "$bsonSize"),
            "$tsIncrement",
            "$tsSecond",
        ),
        (1, 1),
    ),
    **dict.fromkeys(
        (
            *("$divide", "$log", "$mod", "$pow", "$atan2"),
            *("$arrayElemAt", "$in", "$setDifference", "$setIsSubset"),
            *("$cmp", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte"),
            *("$split", "$strcasecmp"),
        ),
        (2, 2),
    ),
    **dict.fromkeys(("$substr", "$substrBytes", "$substrCP"), (3, 3)),
    **dict.fromkeys(("$round", "$trunc"), (1, 2)),
    **dict.fromkeys(("$range", "$slice"), (2, 3)),
    **dict.fromkeys(("$indexOfArray", "$indexOfBytes", "$indexOfCP"), (2, 4)),
    **dict.fromkeys(("$subtract",), (2, 2)),
    **dict.fromkeys(("$setEquals", "$ifNull"), (2, MANY)),
    **dict.fromkeys(
        (
            *("$add", "$multiply", "$and", "$or", "$concat", "$concatArrays"),
            *("$setIntersection", "$setUnion", "$mergeObjects"),
            *("$sum", "$avg", "$min", "$max", "$stdDevPop", "$stdDevSamp", "$first", "$last"),
        ),
        (0, MANY),
    ),
}

# Named operands: those that must be there, and those that may.
NAMED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "$convert": (("input", "to"), ("onError", "onNull")),
    "$dateAdd": (("startDate", "unit", "amount"), ("timezone",)),
    "$dateSubtract": (("startDate", "unit", "amount"), ("timezone",)),
    "$dateDiff": (("startDate", "endDate", "unit"), ("timezone", "startOfWeek")),
    "$dateTrunc": (("date", "unit"), ("binSize", "timezone", "startOfWeek")),
    "$dateFromParts": (
        (),
        (
            *("year", "isoWeekYear", "month", "isoWeek", "day", "isoDayOfWeek"),
            *("hour", "minute", "second", "millisecond", "timezone"),
        ),
    ),
    "$dateFromString": (("dateString",), ("format", "timezone", "onError", "onNull")),
    "$dateToParts": (("date",), ("timezone", "iso8601")),
    "$dateToString": (("date",), ("format", "timezone", "onNull")),
    "$firstN": (("n", "input"), ()),
    "$lastN": (("n", "input"), ()),
    "$maxN": (("n", "input"), ()),
    "$minN": (("n", "input"), ()),
    "$ltrim": (("input",), ("chars",)),
    "$rtrim": (("input",), ("chars",)),
    "$trim": (("input",), ("chars",)),
    "$regexFind": (("input", "regex"), ("options",)),
    "$regexFindAll": (("input", "regex"), ("options",)),
    "$regexMatch": (("input", "regex"), ("options",)),
    "$replaceAll": (("input", "find", "replacement"), ()),
    "$replaceOne": (("input", "find", "replacement"), ()),
    "$zip": (("inputs",), ("useLongestLength", "defaults")),
}

# A date, or {date, timezone}.
DATE_PARTS = frozenset(
    "$dayOfMonth $dayOfWeek $dayOfYear $hour $isoDayOfWeek $isoWeek $isoWeekYear $millisecond "
    "$minute $month $second $week $year".split()
)

# What $group gathers; those with one expression, and those with names.
ACCUMULATORS = frozenset(
    "$addToSet $avg $first $last $max $mergeObjects $min $push $stdDevPop $stdDevSamp $sum".split()
)
NAMED_ACCUMULATORS: dict[str, tuple[str, ...]] = {
    "$firstN": ("n", "input"),
    "$lastN": ("n", "input"),
    "$maxN": ("n", "input"),
    "$minN": ("n", "input"),
}
SORTED_ACCUMULATORS: dict[str, tuple[str, ...]] = {
    "$top": ("output",),
    "$bottom": ("output",),
    "$topN": ("n", "output"),
    "$bottomN": ("n", "output"),
}
# What only $setWindowFields knows: without operand, with two, with names.
RANKS = frozenset({"$rank", "$denseRank", "$documentNumber", "$count"})
WINDOW_SINGLE = frozenset({"$linearFill", "$locf"})
WINDOW_PAIRS = frozenset({"$covariancePop", "$covarianceSamp"})
WINDOW_NAMED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "$derivative": (("input",), ("unit",)),
    "$integral": (("input",), ("unit",)),
    "$expMovingAvg": (("input",), ("N", "alpha")),
    "$shift": (("output", "by"), ("default",)),
}
