// Reads events as NDJSON from standard input and prints a line for each: "ok", or "no", the field
// and the message, tab-separated. For judging the reader from outside (schema_judge.py).
#include <iostream>
#include <string>

#include "event/json.h"

int main() {
  heed::event::JsonReader reader;
  for (std::string line; std::getline(std::cin, line);) {
    const auto event = reader.ReadOne(line);
    if (event.ok()) {
      std::cout << "ok\n";
    } else {
      std::cout << "no\t" << event.status().field() << '\t' << event.status().message() << '\n';
    }
  }
}
