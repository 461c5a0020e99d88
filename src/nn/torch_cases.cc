// Writes every case of cases.h to a tensor file, for torch_judge.py.
//   nn_torch_cases FILE SEED
#include <cstdlib>
#include <fstream>

#include "nn/cases.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  heed::nn::CaseWriter cases;
  for (const heed::nn::CaseFamily& family : heed::nn::kCaseFamilies) {
    heed::nn::WriteCases(family, std::strtoull(argv[2], nullptr, 10), &cases);
  }
  const std::string bytes = cases.Finish();
  std::ofstream out(argv[1], std::ios::binary);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  return out ? 0 : 1;
}
