// Run by the build: trains one built-in text recipe and writes its model, so that the program holds what
// `heed train` gives on the same files.
//   train_builtin_text RECIPE DATA_FOLDER OUT
#include <cstdio>

#include "train/experiment.h"

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const auto experiment = heed::train::BuiltinExperiment(argv[1]);
  const heed::Status status = experiment.ok()
                                  ? experiment.value()->Train({.folder = argv[2]}, argv[3]).status()
                                  : experiment.status();
  if (status.ok()) return 0;
  std::fprintf(stderr, "train_builtin_text: %s\n", status.ToString().c_str());
  return 1;
}
