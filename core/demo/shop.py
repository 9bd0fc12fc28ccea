"""What the parts of the demonstration have in common: the people and the goods of the shop."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Customer:
    """Somebody who buys; ``place`` is longitude and latitude."""

    name: str
    street: str
    postcode: str
    city: str
    country: str
    place: tuple[float, float]

    @property
    def email(self) -> str:
        """An address in a domain that nobody can have (RFC 2606)."""
        return f"{self.name.lower().replace(' ', '.')}@shop.example"


@dataclass(frozen=True)
class Product:
    """Something to buy; ``colour`` is what its picture is painted in."""

    key: str
    name: str
    category: str
    price_cents: int
    origin: str
    colour: tuple[int, int, int]
    tags: tuple[str, ...] = ()


CUSTOMERS = (
    Customer("Ada Lindqvist", "Storgatan 12", "11455", "Stockholm", "SE", (18.08, 59.33)),
    Customer("Amir Haddad", "Sonnenallee 88", "12045", "Berlin", "DE", (13.43, 52.48)),
    Customer("Anna Kowalska", "ul. Piwna 4", "00265", "Warsaw", "PL", (21.01, 52.25)),
    Customer("Bruno Ferreira", "Rua das Flores 31", "1200195", "Lisbon", "PT", (-9.14, 38.71)),
    Customer("Chiara Rossi", "Via Garibaldi 7", "10122", "Turin", "IT", (7.68, 45.07)),
    Customer("Clara Dubois", "Rue Mercière 19", "69002", "Lyon", "FR", (4.83, 45.76)),
    Customer("Daan de Vries", "Prinsengracht 263", "1016GV", "Amsterdam", "NL", (4.88, 52.37)),
    Customer("Elif Yilmaz", "Kölner Straße 5", "50859", "Cologne", "DE", (6.86, 50.94)),
    Customer("Emma Nielsen", "Vestergade 20", "1456", "Copenhagen", "DK", (12.57, 55.68)),
    Customer("Erik Hansen", "Torggata 3", "0181", "Oslo", "NO", (10.75, 59.91)),
    Customer("Fiona Murphy", "Dame Street 41", "D02X285", "Dublin", "IE", (-6.26, 53.34)),
    Customer("Gustav Berger", "Neubaugasse 14", "1070", "Vienna", "AT", (16.35, 48.2)),
    Customer("Hana Novak", "Dlouhá 33", "11000", "Prague", "CZ", (14.42, 50.09)),
    Customer("Ines Garcia", "Calle Mayor 18", "28013", "Madrid", "ES", (-3.71, 40.42)),
    Customer("Jonas Keller", "Limmatquai 52", "8001", "Zürich", "CH", (8.54, 47.37)),
    Customer("Katrin Saar", "Pikk 9", "10123", "Tallinn", "EE", (24.75, 59.44)),
    Customer("Laszlo Szabo", "Váci utca 21", "1052", "Budapest", "HU", (19.05, 47.49)),
    Customer("Leila Benali", "Rue Haute 60", "1000", "Brussels", "BE", (4.35, 50.84)),
    Customer("Marta Silva", "Rua do Almada 5", "4050036", "Porto", "PT", (-8.61, 41.15)),
    Customer("Mikko Virtanen", "Aleksanterinkatu 8", "00100", "Helsinki", "FI", (24.95, 60.17)),
    Customer("Nora Papadaki", "Ermou 27", "10563", "Athens", "GR", (23.73, 37.98)),
    Customer("Oscar Martin", "Gran Via 2", "08010", "Barcelona", "ES", (2.17, 41.39)),
    Customer("Petra Horvat", "Ilica 15", "10000", "Zagreb", "HR", (15.97, 45.81)),
    Customer("Thomas Weber", "Schellingstraße 40", "80799", "Munich", "DE", (11.58, 48.15)),
)

CATEGORIES = {
    "black-tea": "Black tea",
    "green-tea": "Green tea",
    "oolong": "Oolong",
    "infusions": "Herbs and fruit",
    "ware": "Pots and cups",
}

_AMBER, _GREEN, _BRONZE, _RED, _CLAY = (
    (176, 92, 38),
    (112, 150, 72),
    (158, 116, 60),
    (178, 60, 72),
    (120, 108, 104),
)

PRODUCTS = (
    Product("assam-tgfop", "Assam TGFOP", "black-tea", 890, "India", _AMBER, ("malty",)),
    Product("ceylon-op", "Ceylon Orange Pekoe", "black-tea", 690, "Sri Lanka", _AMBER, ("fresh",)),
    Product(
        "darjeeling-first-flush", "Darjeeling First Flush", "black-tea", 1490, "India", _AMBER,
        ("floral", "spring"),
    ),
    Product("earl-grey", "Earl Grey", "black-tea", 790, "China", _AMBER, ("bergamot",)),
    Product(
        "lapsang-souchong", "Lapsang Souchong", "black-tea", 990, "China", _AMBER, ("smoked",)
    ),
    Product("bancha", "Bancha", "green-tea", 590, "Japan", _GREEN, ("mild",)),
    Product("gunpowder", "Gunpowder", "green-tea", 490, "China", _GREEN, ("strong",)),
    Product("jasmine-pearls", "Jasmine Pearls", "green-tea", 1690, "China", _GREEN, ("floral",)),
    Product("longjing", "Longjing", "green-tea", 1890, "China", _GREEN, ("nutty", "spring")),
    Product("matcha", "Matcha", "green-tea", 2490, "Japan", _GREEN, ("powder", "strong")),
    Product("sencha", "Sencha", "green-tea", 1190, "Japan", _GREEN, ("fresh",)),
    Product("da-hong-pao", "Da Hong Pao", "oolong", 2290, "China", _BRONZE, ("mineral",)),
    Product("milk-oolong", "Milk Oolong", "oolong", 1590, "Taiwan", _BRONZE, ("mild",)),
    Product("tie-guan-yin", "Tie Guan Yin", "oolong", 1790, "China", _BRONZE, ("floral",)),
    Product("camomile", "Camomile", "infusions", 390, "Croatia", _RED, ("caffeine-free", "mild")),
    Product(
        "hibiscus", "Hibiscus", "infusions", 450, "Egypt", _RED, ("caffeine-free", "fruity")
    ),
    Product(
        "peppermint", "Peppermint", "infusions", 390, "Morocco", _RED, ("caffeine-free", "fresh")
    ),
    Product(
        "rooibos", "Rooibos", "infusions", 490, "South Africa", _RED, ("caffeine-free", "mild")
    ),
    Product("cast-iron-pot", "Cast Iron Pot", "ware", 5900, "Japan", _CLAY, ("0.8 l",)),
    Product("glass-pot", "Glass Pot", "ware", 3400, "Germany", _CLAY, ("1 l",)),
    Product("porcelain-cup", "Porcelain Cup", "ware", 1250, "Germany", _CLAY, ("0.2 l",)),
    Product("travel-mug", "Travel Mug", "ware", 2390, "Denmark", _CLAY, ("0.4 l", "steel")),
    Product("bamboo-whisk", "Bamboo Whisk", "ware", 1650, "Japan", _CLAY, ("for matcha",)),
    Product("tea-filter", "Tea Filter", "ware", 850, "Germany", _CLAY, ("steel",)),
)  # fmt: skip
