# cmake -DPAGE=<page.html> -DOUT=<page.cc> -P embed.cmake
# Byte by byte: a raw string literal is limited in length by some compilers, and pieces could cut a character in two.
file(READ ${PAGE} bytes HEX)
string(REGEX REPLACE "(..)" "'\\\\x\\1'," bytes "${bytes}")
file(WRITE ${OUT} "#include \"report/page.h\"\n\nnamespace heed::report {\n\nconst char kPage[] = {\n${bytes}'\\0'};\n\n}  // namespace heed::report\n")
