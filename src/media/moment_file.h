// Moments as bytes and as text: docs/formats/moment_file.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "media/moment.h"

namespace heed::media {

// One line of JSON without a line end. What was not measured is null.
std::string MomentToJson(const Moment& moment);

// The bytes before the first record: which columns the records have.
std::string MomentFileHeader();
// One record, to be appended to a file that begins with the header.
void AppendMoment(const Moment& moment, std::string* file);
// What AppendMoment puts around a record: its length and checksum.
void AppendFramed(std::string_view record, std::string* file);

// Reads a file's bytes, also those written with other features: columns that this version does not know are
// passed over, those it knows and the file does not are not measured. Not thread-safe.
class MomentFileReader {
 public:
  // kCorruption when it does not begin with a header. `bytes` must outlive the reader.
  static Result<MomentFileReader> Open(std::string_view bytes);

  // Empty at the end. kCorruption, with the byte it begins at, for a damaged record or one cut off; those before it
  // have been read and are right.
  Result<std::optional<Moment>> Next();

 private:
  std::string_view bytes_;
  size_t at_ = 0;
  std::vector<std::optional<Feature>> features_;     // by column
  std::vector<std::optional<Modality>> modalities_;  // likewise
};

}  // namespace heed::media
