// Progress of long work on standard error: a bar with rate and time left on a terminal, a plain line
// every few seconds elsewhere.
#pragma once

#include <cstdint>
#include <string>

#include "train/trainer.h"

namespace heed::cli {

bool StderrIsTerminal();

// Not thread-safe.
class Progress {
 public:
  // unit: what is counted, "events".
  Progress(std::string what, std::string unit);
  ~Progress();  // Finish()

  // total 0: not known. `note` goes at the end ("loss 0.31").
  void Update(uint64_t done, uint64_t total, const std::string& note = {});
  // Prints the last state for good, with the overall rate.
  void Finish();

 private:
  void Print(bool last);

  std::string what_, unit_, note_;
  int64_t started_us_;
  int64_t printed_us_ = 0;
  uint64_t done_ = 0, total_ = 0;
  bool finished_ = false, any_ = false;
};

// One training's state, as every command shows it.
void Show(const train::TrainProgress& now, Progress* progress);

}  // namespace heed::cli
