# cmake -DROOT=<examples> -DFILES=<a;b> -DOUT=<file.cc> -P embed.cmake
# A string literal may hold about 64 kB; these files are a tenth of that.
set(code "#include \"train/embedded.h\"\n\n#include <array>\n\nnamespace heed::train {\nnamespace {\n\n")
set(entries "")
list(LENGTH FILES count)
foreach(file ${FILES})
  file(READ ${ROOT}/${file} text)
  string(APPEND entries "    EmbeddedFile{\"${file}\", R\"__toml__(${text})__toml__\"},\n")
endforeach()
string(APPEND code "constexpr std::array<EmbeddedFile, ${count}> kFiles = {\n${entries}};\n\n}  // namespace\n\n")
string(APPEND code "std::span<const EmbeddedFile> EmbeddedFiles() { return kFiles; }\n\n}  // namespace heed::train\n")
file(WRITE ${OUT} "${code}")
