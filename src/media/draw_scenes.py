#!/usr/bin/env python3
"""Draws the scenes of picture_test.cc: pictures of a broadcast whose content is known.

    draw_scenes.py OUT [PORTRAIT]

Writes to the folder OUT, 960 x 540 pixels each, as I420 of the broadcast range:
  tags.i420, tags.tsv    a picture a line: truth as price, stock, digits drawn, font, size
  plain.i420             pictures without a letter: gradients, shapes, stripes, blurred noise
  show.i420              20 s of 5 pictures a second with cuts at 5.4, 10.4 and 16.4 s (with PORTRAIT only)
  portrait.tsv           where its face is drawn: time, x, y of the middle in shares (with PORTRAIT only)
PORTRAIT is a folder with astronaut.png and coffee.png of python3-skimage's data.
"""
import pathlib
import random
import sys

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

WIDTH, HEIGHT = 960, 540
WQY = "/usr/share/fonts/truetype/wqy/"
DEJAVU = "/usr/share/fonts/truetype/dejavu/"
CHINESE = {"zenhei": WQY + "wqy-zenhei.ttc", "microhei": WQY + "wqy-microhei.ttc"}
LATIN = {"sans": DEJAVU + "DejaVuSans.ttf", "bold": DEJAVU + "DejaVuSans-Bold.ttf"}
# Text, price to pay, stock.
CHINESE_TAGS = [
    (["抢购价 ¥99.00", "补水面膜 库存50件"], "99", "50"),
    (["券后价 39.9元", "库存1280件"], "39.9", "1280"),
    (["直播价￥1299", "限时秒杀"], "1299", ""),
    (["到手价268元", "原价399元"], "268", ""),
    (["秒杀价 ¥15.80", "仅剩36件"], "15.8", "36"),
    (["日常价 ¥459", "直播价 ¥327"], "327", ""),
]
LATIN_TAGS = [(["¥68.50"], "68.5", ""), (["¥1024.00"], "1024", ""), (["¥379"], "379", "")]
COLOURS = [((220, 20, 60), (255, 255, 255)), ((255, 240, 120), (160, 0, 0)),
           ((20, 20, 20), (255, 210, 0)), ((250, 250, 250), (30, 30, 30))]
SIZES = [28, 40, 64]


def i420(image):
    planes = np.asarray(image.convert("YCbCr")).astype(np.float32)
    luma = 16 + planes[..., 0] * 219 / 255
    chroma = planes[..., 1:].reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 2).mean((1, 3))
    chroma = 128 + (chroma - 128) * 224 / 255
    parts = [luma, chroma[..., 0], chroma[..., 1]]
    return b"".join(np.rint(part).astype(np.uint8).tobytes() for part in parts)


def gradient(seed):
    rng = random.Random(seed)
    x, y = np.meshgrid(np.linspace(0, 1, WIDTH), np.linspace(0, 1, HEIGHT))
    layers = []
    for _ in range(3):
        a, b, c = rng.uniform(40, 160), rng.uniform(-60, 60), rng.uniform(-60, 60)
        layers.append(np.clip(a + b * x + c * y, 0, 255))
    return Image.fromarray(np.dstack(layers).astype(np.uint8))


def studio(seed):
    """A gradient with soft shapes on it, as a set behind a host."""
    rng = random.Random(seed)
    image = gradient(seed)
    draw = ImageDraw.Draw(image)
    for _ in range(8):
        x, y = rng.randrange(WIDTH), rng.randrange(HEIGHT)
        w, h = rng.randrange(40, 260), rng.randrange(40, 260)
        fill = tuple(rng.randrange(30, 220) for _ in range(3))
        (draw.ellipse if rng.random() < 0.5 else draw.rectangle)((x, y, x + w, y + h), fill=fill)
    return image.filter(ImageFilter.GaussianBlur(3))


def tag(image, lines, font, size, colours, at):
    face = ImageFont.truetype(font, size)
    pad = size // 2
    boxes = [face.getbbox(line) for line in lines]
    width = max(box[2] for box in boxes) + 2 * pad
    height = int(size * 1.5) * len(lines) + pad
    x, y = min(at[0], WIDTH - width - 4), min(at[1], HEIGHT - height - 4)
    draw = ImageDraw.Draw(image)
    draw.rectangle((x, y, x + width, y + height), fill=colours[0])
    for i, line in enumerate(lines):
        draw.text((x + pad, y + pad // 2 + int(size * 1.5) * i), line, font=face, fill=colours[1])


def tags(out):
    rng = random.Random(7)
    with open(out / "tags.i420", "wb") as pictures, open(out / "tags.tsv", "w", encoding="utf-8") as truth:
        count = 0
        for fonts, texts, sizes in ((CHINESE, CHINESE_TAGS, SIZES), (LATIN, LATIN_TAGS, SIZES[:2])):
            for name, path in fonts.items():
                for lines, price, stock in texts:
                    for size in sizes:
                        image = studio(100 + count)
                        at = (rng.randrange(10, WIDTH // 2), rng.randrange(10, HEIGHT - 150))
                        tag(image, lines, path, size, COLOURS[count % len(COLOURS)], at)
                        pictures.write(i420(image))
                        drawn = " ".join("".join(c for c in line if c.isdigit()) for line in lines)
                        print(price, stock, drawn, name, size, sep="\t", file=truth)
                        count += 1


def plain(out):
    with open(out / "plain.i420", "wb") as pictures:
        for seed in range(4):
            pictures.write(i420(gradient(seed)))
        for seed in range(8):
            pictures.write(i420(studio(seed)))
        x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
        for period in (8, 24, 60):
            for across in (x, y, x + y):
                stripes = ((across // period) % 2 * 140 + 50).astype(np.uint8)
                pictures.write(i420(Image.fromarray(stripes).convert("RGB")))
        rng = np.random.default_rng(3)
        for blur in (1, 3, 9):
            noise = Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
            noise = noise.filter(ImageFilter.GaussianBlur(blur))
            pictures.write(i420(noise))


def show(out, folder):
    # Of the portrait's 512 pixels: the middle of brow to chin, by eye.
    face_x, face_y = 0.435, 0.232
    portrait = Image.open(folder / "astronaut.png").convert("RGB")
    product = Image.open(folder / "coffee.png").convert("RGB").resize((WIDTH, HEIGHT))
    grounds = [gradient(5), gradient(11)]
    with open(out / "show.i420", "wb") as pictures, open(out / "portrait.tsv", "w", encoding="utf-8") as truth:
        drawn = {}
        for n in range(100):
            t = n / 5
            if t < 5.4 or t >= 16.4:
                scene = (480, 200, 30, t >= 16.4, 0)
            elif t < 10.4:
                scene = (400, int(60 + (t - 5.4) * 40), 100, False, 1)
            else:
                scene = (0, 0, 0, False, 0)
            side, x, y, dark, ground = scene
            if side:
                print(t, (x + face_x * side) / WIDTH, (y + face_y * side) / HEIGHT, sep="\t", file=truth)
            if scene not in drawn:
                image = (grounds[ground] if side else product).copy()
                if side:
                    image.paste(portrait.resize((side, side)), (x, y))
                else:
                    tag(image, CHINESE_TAGS[0][0], CHINESE["zenhei"], 38, COLOURS[0], (60, 380))
                if dark:
                    image = image.point(lambda v: v // 2)
                drawn[scene] = i420(image)
            pictures.write(drawn[scene])


def main():
    out = pathlib.Path(sys.argv[1])
    tags(out)
    plain(out)
    if len(sys.argv) > 2:
        show(out, pathlib.Path(sys.argv[2]))


if __name__ == "__main__":
    main()
