"""Encodes bytes as words to read aloud: a line test's challenge, a link file's fingerprint (SPEC B1, B2).

Each language has 256 words, one per byte value. They are everyday nouns in their dictionary form, without letters that
have two spellings; any two words of a list differ in at least three letters and in sound, to survive a bad telephone
line (tests/protocol/wire/test_words.py). The lists are part of version 1: the position of a word never changes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import normalize

_ENGLISH = """
acorn airport album almond amber apple apron armchair atlas avocado bagel bakery balcony balloon bamboo banana
barley basket bathtub beaver belfry bench bicycle biscuit blossom bonnet book bottle breeze brick bridge buffalo
butterfly button cabbage cabin cactus candle canvas caramel caravan carpet cedar chair cherry chimney chocolate
cinema circle clay clock clover cobweb coconut coffee comet compass concert cookie copper coral cousin crayon
cricket crystal curtain custard daisy dandelion denim diamond diary dolphin donkey doorway drawer echo elbow
elephant emerald envelope evening feather fiddle finger flamingo flannel flute forest fountain fox garden garlic
gazelle giraffe gondola granite grape hamlet hammock harvest hedgehog hickory horizon hotel igloo iris island ivory
jackdaw jasmine jigsaw jukebox juniper kangaroo kitchen kite ladder lagoon lamp lantern laundry lavender lemon
leopard library lilac linen lizard lobster magnet magnolia magpie mandolin mango marble marigold meadow mirror
mitten moonlight moss mulberry museum mushroom napkin nephew noodle notebook nursery nutmeg oatmeal oboe ocean
octopus olive onion orange orchard oregano origami ostrich otter owl pancake panda papaya paper parrot passport
pavement peanut pebble pelican pencil penguin piano picnic pillow pineapple platypus playground poppy postcard
potato pumpkin puzzle pyramid quilt quince rabbit radish rainbow raisin recipe reindeer ribbon rosemary ruby salad
sardine satchel school seahorse seashell season shelf shoulder silk silver snowman sofa spatula spinach spring
squirrel starfish statue straw sugar suitcase sunflower sunset swan sweater tailor teapot telescope thimble thumb
toast tortoise tractor trolley trombone trumpet tulip tunnel turtle umbrella uncle unicorn vanilla velvet village
vineyard violin waffle walnut wardrobe weekend wheat windmill window zebra zucchini
"""
_RUSSIAN = """
абажур абрикос автобус адрес аист аквариум аллея альбом ананас антилопа апельсин арбуз аромат афиша бабушка базар
баклажан балерина балкон бамбук барабан бассейн беседка билет бисквит блокнот бобр борода ботинок браслет брусника
бублик бульвар бумага бутерброд вагон валенок ванна варежка ватрушка велосипед веник веранда верблюд весло ветка
вечер виноград вишня водопад воробей восток выставка газета галстук гамак гвоздика герань гитара глобус голубь
горшок гребень груша губка гусь дача дворец дельфин дерево диван диплом долина дракон дуб дыня дятел ежевика енот
жемчуг жираф журавль журнал завтрак закат заяц звезда зебра зеркало зима зонтик изба изумруд индюк искра кабачок
календарь камыш канарейка капуста карандаш картина карусель кастрюля кафтан кедр кенгуру кирпич кисель клавиша
клевер клубника ключ книга колодец компас конверт корабль коридор космос костюм кровать кружево крыльцо кувшин кукла
купол курица ладонь лампа ландыш ласточка лебедь лимон линейка лодка луна лягушка магазин макароны мандарин марка
медведь мельница метро мимоза молоко мороз музей муравей мыло мяч незабудка ножницы носорог облако обруч овраг
огурец одеяло озеро окно олень орех очки павлин палатка памятник парус пастух пекарь пенал перчатка песок пингвин
платок попугай портрет почта праздник прогулка пуговица пчела радуга редиска рисунок родник роза ромашка рояль рынок
рюкзак рябина самовар сапог свитер сирень скамейка скатерть скрипка слива слон снегирь солома сосна спектакль стакан
страус стрекоза стул сундук сыр творог театр телега тетрадь тишина тополь трава туман удочка улитка урок утюг
фабрика фартук фасоль фиалка фикус фонарь фонтан форель футбол халва хвост хлеб хлопок холм цапля цветок цирк
циркуль чайник часы чемодан черника читатель шалаш шарф шахматы шиповник школа этаж якорь ящерица ящик
"""
WORDS: dict[str, tuple[str, ...]] = {"en": tuple(_ENGLISH.split()), "ru": tuple(_RUSSIAN.split())}
"""The words of each language, indexed by byte value."""

_BYTES = {word: byte for listed in WORDS.values() for byte, word in enumerate(listed)}
"""The byte value of each word; no two lists have a word in common."""
_NONCE_BYTES = 8
FINGERPRINT_WORDS = 16
"""One for each byte of 128 bits: making two files with the same fingerprint takes about 2^64 attempts."""
_DIGEST_BYTES = 32


def words(data: bytes, language: str) -> tuple[str, ...]:
    """Return one word for each byte of `data`, in English if `language` has no list."""
    listed = WORDS.get(language, WORDS["en"])
    return tuple(listed[byte] for byte in data)


def challenge(nonce: str, language: str) -> tuple[str, str, str]:
    """Return the words for the first three bytes of `nonce`, which are a line test's challenge (SPEC B1.3).

    Raises ValueError unless `nonce` is 16 lower-case hexadecimal digits.
    """
    drawn = bytes.fromhex(nonce)
    if drawn.hex() != nonce or len(drawn) != _NONCE_BYTES:
        raise ValueError(f"not a nonce of 16 hexadecimal digits: {nonce[:40]!r}")
    first, second, third = words(drawn[:3], language)
    return first, second, third


def fingerprint_words(digest: str, language: str) -> tuple[str, ...]:
    """Return sixteen words to read aloud, for the first 128 bits of `digest`, a SHA-256 (SPEC E1.7).

    Raises ValueError unless `digest` is 64 lower-case hexadecimal digits.
    """
    return words(_fingerprint(digest), language)


def typed_words(text: str) -> tuple[str, ...]:
    """Return the words in a text as the lists spell them, whatever their case and what stands between them."""
    plain = normalize("NFC", text).casefold().replace("ё", "е")
    return tuple(re.findall(r"[^\W\d_]+", plain))


def is_listed(word: str) -> bool:
    """Return whether a list of any language has this word."""
    return word in _BYTES


def differing_words(digest: str, start: int, read: Sequence[str]) -> tuple[int, ...]:
    """Return the positions, from 1, at which words that were read aloud are not those of a fingerprint (SPEC E1.8).

    Args:
        digest: the link file's SHA-256, in hexadecimal.
        start: the position of the first word that was read, from 1; after word 16 comes word 1.
        read: all sixteen words, in the order of reading, as `typed_words` returns them. Each may be of any language.

    Raises ValueError if `digest` is no digest, or these are not sixteen words from a position from 1 to 16.
    """
    data = _fingerprint(digest)
    if not 1 <= start <= FINGERPRINT_WORDS or len(read) != FINGERPRINT_WORDS:
        raise ValueError(f"expected {FINGERPRINT_WORDS} words from a position of 1 to {FINGERPRINT_WORDS}")
    places = [(start - 1 + offset) % FINGERPRINT_WORDS for offset in range(FINGERPRINT_WORDS)]
    return tuple(sorted(place + 1 for place, word in zip(places, read, strict=True) if _BYTES.get(word) != data[place]))


def _fingerprint(digest: str) -> bytes:
    data = bytes.fromhex(digest)
    if data.hex() != digest or len(data) != _DIGEST_BYTES:
        raise ValueError(f"not a SHA-256 in hexadecimal: {digest[:80]!r}")
    return data[:FINGERPRINT_WORDS]
