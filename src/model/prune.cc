#include "model/prune.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "model/mlp_block.h"
#include "model/ranker_net.h"

namespace heed::model {
namespace {

using Kept = std::vector<size_t>;

Kept All(size_t n) {
  Kept kept(n);
  std::iota(kept.begin(), kept.end(), 0u);
  return kept;
}

// Those of 0..n-1 that are not in first..first+count-1.
Kept Without(size_t n, size_t first, size_t count) {
  Kept kept = All(n);
  kept.erase(kept.begin() + static_cast<ptrdiff_t>(first),
             kept.begin() + static_cast<ptrdiff_t>(first + count));
  return kept;
}

void Copy(const nn::Matrix& from, const Kept& rows, const Kept& cols, nn::Matrix* to) {
  assert(to->rows() == rows.size() && to->cols() == cols.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < cols.size(); ++j) to->Row(i)[j] = from.Row(rows[i])[cols[j]];
  }
}

void Copy(const nn::Parameter& from, const Kept& rows, const Kept& cols, nn::Parameter* to) {
  Copy(from.value, rows, cols, &to->value);
  Copy(from.moment1, rows, cols, &to->moment1);
  Copy(from.moment2, rows, cols, &to->moment2);
}

void Copy(const nn::Parameter& from, nn::Parameter* to) {
  Copy(from, All(from.value.rows()), All(from.value.cols()), to);
}

// Everything that hangs on no layer's shape.
void CopyRest(const Net& from, Net* to) {
  to->updates = from.updates;
  to->numeric_mean = from.numeric_mean;
  to->numeric_deviation = from.numeric_deviation;
  to->numeric_bins = from.numeric_bins;
  to->calibration_scale = from.calibration_scale;
  to->calibration_shift = from.calibration_shift;
  to->tables = from.tables;
  const std::vector<nn::Buffer> read = const_cast<Net&>(from).Buffers();  // read only
  const std::vector<nn::Buffer> written = to->Buffers();
  for (size_t i = 0; i < read.size(); ++i) *written[i].value = *read[i].value;
}

Status CheckHeads(const Net& net, const std::vector<uint32_t>& heads) {
  if (heads.size() != net.layout.sequences.size()) {
    return InvalidArgument("not one head a history", "heads");
  }
  bool dot = false;
  for (size_t s = 0; s < heads.size(); ++s) {
    if (net.config.PoolOf(s).kind != PoolKind::kDot) continue;
    dot = true;
    if (heads[s] >= net.config.attention_heads) {
      return InvalidArgument(
          "head " + std::to_string(heads[s]) + " of " + std::to_string(net.config.attention_heads),
          "heads");
    }
  }
  if (!dot) return InvalidArgument("no history has heads", "heads");
  if (net.config.attention_heads < 2) return InvalidArgument("the last head stays", "heads");
  for (const auto& block : net.blocks) {
    const MlpBlock* mlp = block->AsMlp();
    if (mlp == nullptr || mlp->layers().empty()) {
      return InvalidArgument("heads are dropped before blocks of hidden layers alone", "heads");
    }
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Ranker>> WithoutHeads(const Ranker& ranker,
                                             const std::vector<uint32_t>& heads,
                                             const std::vector<float>& candidate_mean) {
  const Net& net = ranker.net();
  HEED_RETURN_IF_ERROR(CheckHeads(net, heads));
  const Layout& layout = net.layout;
  const size_t H = net.config.attention_heads, dh = net.config.attention_width / H;
  RankerConfig config = net.config;
  config.attention_heads -= 1;
  config.attention_width -= static_cast<uint32_t>(dh);
  Net small(config, net.seed);
  CopyRest(net, &small);
  std::vector<uint8_t> gone(layout.candidate_width, 0);  // columns of x_candidate
  for (size_t s = 0; s < heads.size(); ++s) {
    if (net.config.PoolOf(s).kind != PoolKind::kDot) continue;
    const Layout::Sequence& where = layout.sequences[s];
    std::fill_n(gone.begin() + static_cast<ptrdiff_t>(where.out_column + heads[s] * dh), dh, 1);
    gone[where.evidence_column + heads[s]] = 1;
  }
  Kept inputs = All(layout.request_width);
  for (size_t i = 0; i < gone.size(); ++i) {
    if (gone[i] == 0) inputs.push_back(layout.request_width + i);
  }
  const std::vector<const nn::Parameter*> from = net.Parameters();
  const std::vector<nn::Parameter*> to = small.Parameters();
  const auto shape_of = [](const nn::Parameter& p) {
    return std::pair(p.value.rows(), p.value.cols());
  };
  for (size_t i = 0; i < from.size(); ++i) {
    if (shape_of(*from[i]) == shape_of(*to[i])) Copy(*from[i], to[i]);
  }
  for (size_t s = 0; s < heads.size(); ++s) {
    if (net.config.PoolOf(s).kind != PoolKind::kDot) continue;
    const Kept width = Without(H * dh, heads[s] * dh, dh), kept = Without(H, heads[s], 1);
    const nn::TargetAttention& a = net.attention[s];
    nn::TargetAttention& b = small.attention[s];
    Copy(a.query, All(a.query.value.rows()), width, &b.query);
    Copy(a.query_bias, {0}, width, &b.query_bias);
    Copy(a.key, All(a.key.value.rows()), width, &b.key);
    Copy(a.value, All(a.value.value.rows()), width, &b.value);
    Copy(a.null_score, {0}, kept, &b.null_score);
    Copy(a.decay, {0}, kept, &b.decay);
    if (!net.config.PoolOf(s).temperature) continue;
    const nn::Linear& t = net.temperatures[s].linear;
    Copy(t.weight, All(t.inputs()), kept, &small.temperatures[s].linear.weight);
    Copy(t.bias, {0}, kept, &small.temperatures[s].linear.bias);
  }
  for (size_t b = 0; b < net.blocks.size(); ++b) {
    const nn::Linear& first = net.blocks[b]->AsMlp()->layers()[0];
    const std::vector<nn::Parameter*> parameters = small.blocks[b]->Parameters();
    Copy(first.weight, inputs, All(first.outputs()), parameters[0]);
    for (size_t i = 0; i < gone.size() && !candidate_mean.empty(); ++i) {
      if (gone[i] == 0) continue;
      for (size_t n = 0; n < first.outputs(); ++n) {
        parameters[1]->value.data()[n] +=
            candidate_mean[i] * first.weight.value.Row(layout.request_width + i)[n];
      }
    }
  }
  return Ranker::Of(small);
}

Result<std::unique_ptr<Ranker>> WithoutExpert(const Ranker& ranker, uint32_t expert) {
  const Net& net = ranker.net();
  const HeadConfig& head = net.config.head;
  if (head.kind == HeadKind::kShared) return InvalidArgument("no head of experts", "expert");
  if (head.kind == HeadKind::kPle && head.levels > 1) {
    return InvalidArgument("experts of several levels are not dropped", "expert");
  }
  if (expert >= head.experts) {
    return InvalidArgument(
        "expert " + std::to_string(expert) + " of " + std::to_string(head.experts), "expert");
  }
  if (head.experts < 2) return InvalidArgument("the last shared expert stays", "expert");
  RankerConfig config = net.config;
  config.head.experts -= 1;
  Net small(config, net.seed);
  CopyRest(net, &small);
  const std::vector<nn::Parameter*> to = small.Parameters();
  const std::string lost = "head.level.0.expert." + std::to_string(expert) + ".";
  size_t next = 0;
  for (const nn::Parameter* p : net.Parameters()) {
    if (p->name.starts_with(lost)) continue;
    nn::Parameter* kept = to[next++];
    const size_t rows = p->value.rows(), cols = p->value.cols();
    // A gate's columns are its experts, the shared ones first.
    Copy(*p, All(rows), kept->value.cols() == cols ? All(cols) : Without(cols, expert, 1), kept);
  }
  return Ranker::Of(small);
}

Result<std::unique_ptr<Ranker>> WithoutRows(const Ranker& ranker,
                                            const std::vector<std::vector<uint32_t>>& dropped) {
  Net small(ranker.net());
  small.activation_ranges.clear();
  if (dropped.size() != small.tables.size()) return InvalidArgument("not one list a table", "rows");
  for (size_t t = 0; t < dropped.size(); ++t) {
    const nn::EmbeddingTable& table = small.tables[t];
    std::vector<uint8_t> gone(table.rows(), 0);
    for (const uint32_t row : dropped[t]) {
      if (row < 2 || row >= gone.size()) {
        return InvalidArgument("row " + std::to_string(row) + " is shared or none", "rows");
      }
      gone[row] = 1;
    }
    nn::EmbeddingTable::Stored kept;
    kept.waiting = table.waiting();
    const size_t width = table.width();
    const auto append = [&](const nn::Floats& from, size_t row, size_t n, nn::Floats* to) {
      if (from.empty()) return;  // a state that this table does not have
      const auto first = from.begin() + static_cast<ptrdiff_t>(row * n);
      to->insert(to->end(), first, first + static_cast<ptrdiff_t>(n));
    };
    const std::vector<uint64_t> keys = table.keys();
    for (size_t row = 0; row < gone.size(); ++row) {
      if (gone[row] != 0) continue;
      kept.keys.push_back(keys[row]);
      if (!table.counted_at().empty()) kept.counted_at.push_back(table.counted_at()[row]);
      append(table.values(), row, width, &kept.values);
      append(table.moment1(), row, width, &kept.moment1);
      append(table.moment2(), row, width, &kept.moment2);
      append(table.squares(), row, 1, &kept.squares);
    }
    HEED_RETURN_IF_ERROR(small.tables[t].Restore(std::move(kept)));
  }
  return Ranker::Of(small);
}

}  // namespace heed::model
