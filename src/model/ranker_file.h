// Net <-> bytes. Format: docs/formats/model.md, version 1.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "model/ranker_net.h"

namespace heed::model {

std::string EncodeNet(const Net& net);
// Never trusts `bytes`; EncodeNet of the result gives the same bytes again.
Result<std::unique_ptr<Net>> DecodeNet(std::string_view bytes);

// What a ranker's tables changed since they were last asked (EmbeddingTable::TrackChanges, TakeChanged),
// and all of its dense part. docs/formats/checkpoints.md.
std::string EncodeIncrement(Net* net);
// Never trusts `bytes`. Of the net as it was at the file before it makes the net that was written.
Result<std::unique_ptr<Net>> ApplyIncrement(std::string_view bytes, const Net& before);

}  // namespace heed::model
