#include <algorithm>
#include <cmath>

#include "base/team.h"
#include "kernels/gemm.h"
#include "kernels/table.h"
#include "model/ranker_net.h"
#include "nn/loss.h"

namespace heed::model {

using nn::ConstMat;
using nn::Mat;
using nn::Matrix;

void Net::BackwardWide(const Batch& batch, ConstMat d_logits, Workspace* work) {
  const kernels::Table& k = kernels::Active();
  const size_t d = config.embedding_width, T = config.schema.tasks.size();
  Matrix& d_shared = work->d_wide_request;
  d_shared.Resize(batch.requests, T);
  d_shared.Fill(0.0f);
  for (size_t n = 0; n < batch.candidates; ++n) {
    k.axpy(1.0f, d_logits.Row(n), d_shared.Row(batch.request_of[n]), T);
  }
  const auto back = [&](ConstMat x, ConstMat d_sums, const std::vector<Layout::Field>& fields,
                        const std::vector<uint32_t>& rows, nn::Parameter* numbers) {
    kernels::Gemm(kernels::Trans::kYes, kernels::Trans::kNo, x.cols, T, x.rows, x.data, x.stride,
                  d_sums.data, d_sums.stride, 1.0f, numbers->grad.data(), T);
    for (size_t f = 0; f < fields.size(); ++f) {
      work->d_rows[fields[f].table].Add(rows.data() + f, fields.size(), d, d_sums);
    }
  };
  back(ConstMat(work->x_request.view())
           .Cols(layout.request_numerics_column, 2 * layout.request_numerics),
       d_shared.view(), layout.request_fields, work->request_rows, &wide_request);
  back(ConstMat(work->x_candidate.view())
           .Cols(layout.candidate_numerics_column, 2 * layout.candidate_numerics),
       d_logits, layout.candidate_fields, work->candidate_rows, &wide_candidate);
}

namespace {

// Gradients of one history's tokens on their way to the rows of its parts.
// On lines of its own, as each has a thread.
class alignas(64) RowsBack : public nn::TokenGradients {
 public:
  struct Part {
    nn::EmbeddingTable* table;
    nn::RowGradient* gradient;
  };
  RowsBack(const std::vector<Part>& parts, const Workspace::Sequence& sequence, size_t width,
           const nn::Update* now, size_t lane)
      : parts_(parts),
        lane_(lane),
        rows_(sequence.rows),
        marks_(sequence.marks),
        width_(width),
        now_(now),
        tokens_(parts.size()) {}

  void Start(size_t first, size_t tokens) override {
    if (now_ == nullptr) return;
    const size_t K = parts_.size();
    first_ = first;
    for (size_t k = 0; k < K; ++k) {
      // Which token is of which kind is no more than chance: they are told apart without a branch.
      Tokens& of = tokens_[k];
      of.once.resize(tokens);
      of.repeated.resize(tokens);
      size_t once = 0, repeated = 0;
      const uint32_t *rows = rows_.data() + first * K + k, *marks = marks_.data() + first * K + k;
      for (uint32_t t = 0; t < tokens; ++t) {
        const bool alone = marks[t * K] == nn::RowGradient::kOnce;
        of.once[once] = t;
        of.repeated[repeated].token = t;
        once += alone ? 1 : 0;
        repeated += alone ? 0 : 1;
      }
      of.once.resize(once);
      of.repeated.resize(repeated);
      of.next_once = of.next_repeated = 0;
      for (const uint32_t t : of.once) parts_[k].table->PrefetchState(*now_, rows[t * K]);
      for (Repeated& one : of.repeated) {
        one.slot = parts_[k].gradient->SlotOf(lane_, marks[one.token * K], rows[one.token * K]);
      }
    }
  }

  void Take(size_t first, size_t tokens, const float* g, size_t g_stride,
            kernels::RowFetch* next) override {
    const size_t K = parts_.size();
    for (size_t k = 0; k < K; ++k) {
      const uint32_t* rows = rows_.data() + first * K + k;
      const float* own = g + k * width_;
      if (now_ == nullptr) {
        parts_[k].gradient->Add(rows, K, 0, ConstMat{own, tokens, width_, g_stride});
        continue;
      }
      Tokens& of = tokens_[k];
      const size_t begin = first - first_, end = begin + tokens;
      once_.clear();
      for (; of.next_once < of.once.size() && of.once[of.next_once] < end; ++of.next_once) {
        once_.push_back(of.once[of.next_once] - static_cast<uint32_t>(begin));
      }
      for (; of.next_repeated < of.repeated.size(); ++of.next_repeated) {
        const Repeated& one = of.repeated[of.next_repeated];
        if (one.token >= end) break;
        parts_[k].gradient->AddAt(lane_, one.slot, own + (one.token - begin) * g_stride);
      }
      squares_ +=
          parts_[k].table->ApplyAt(*now_, rows, K, once_.data(), once_.size(), own, g_stride, next);
    }
  }

  double squares() const { return squares_; }

 private:
  // Of one part of the history's tokens: those whose rows the batch has nowhere else, and the others.
  struct Repeated {
    uint32_t token = 0, slot = 0;
  };
  struct Tokens {
    std::vector<uint32_t> once;
    std::vector<Repeated> repeated;
    size_t next_once = 0, next_repeated = 0;
  };

  const std::vector<Part>& parts_;
  size_t lane_;
  const std::vector<uint32_t>&rows_, &marks_;
  size_t width_, first_ = 0;
  const nn::Update* now_;
  std::vector<Tokens> tokens_;  // by part
  std::vector<uint32_t> once_;
  double squares_ = 0.0;
};

}  // namespace

void Net::BackwardPool(const Batch& batch, size_t s, const nn::Update* now, Mat d_queries,
                       Workspace* work) {
  const Layout::Sequence& where = layout.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  const Mat d_out = work->d_candidate.view().Cols(where.out_column, where.out_width);
  const Mat d_evidence = work->d_candidate.view().Cols(where.evidence_column, where.heads);
  const bool dot = config.PoolOf(s).kind == PoolKind::kDot;
  if (RowsForm(*work, s)) {
    BackwardRows(batch, s, now, d_out, d_evidence, d_queries, work);
  } else if (dot) {
    attention[s].Backward(AttentionOf(batch, s, work), &own.tape, d_out, d_evidence, d_queries,
                          own.d_tokens.view());
  } else {
    units[s].Backward(AttentionOf(batch, s, work), &own.unit, d_out, d_evidence, d_queries,
                      own.d_tokens.view());
  }
  if (!dot || !config.PoolOf(s).temperature) return;
  temperatures[s].Backward(ConstMat(work->x_request.view()).Cols(0, layout.context_width),
                           own.inverse_temperature.view(), own.tape.d_inverse_temperature.view(),
                           work->d_request.view().Cols(0, layout.context_width));
}

void Net::BackwardRows(const Batch& batch, size_t s, const nn::Update* now, ConstMat d_out,
                       ConstMat d_evidence, Mat d_queries, Workspace* work) {
  const Layout::Sequence& where = layout.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  const nn::AttentionInput in = AttentionOf(batch, s, work);
  const bool dot = config.PoolOf(s).kind == PoolKind::kDot;
  ConstMat d_mean;
  if (config.mean_pool) {
    d_mean = dot ? BackwardMean(batch, s, work)
                 : work->d_request.view().Cols(where.mean_column, where.token_width);
  }
  std::vector<RowsBack::Part> parts;
  for (const size_t table : where.tables) parts.push_back({&tables[table], &work->d_rows[table]});
  // Gradients are collected by one thread; rows that may be updated at once, by several.
  std::vector<RowsBack> lanes;
  for (size_t lane = 0; lane < (now == nullptr ? 1 : nn::RowGradient::kLanes); ++lane) {
    lanes.emplace_back(parts, own, config.embedding_width, now, lane);
  }
  std::vector<nn::TokenGradients*> tokens;
  tokens.reserve(lanes.size());
  for (RowsBack& lane : lanes) tokens.push_back(&lane);
  nn::Linear* projection = config.projection > 0 ? &events[s] : nullptr;
  if (dot) {
    attention[s].BackwardRows(in, &own.tape, d_out, d_evidence, d_mean, d_queries, projection,
                              tokens);
  } else {
    units[s].BackwardRows(in, &own.unit, d_out, d_evidence, d_mean, d_queries, projection, tokens);
  }
  for (const RowsBack& lane : lanes) work->squares_now += lane.squares();
}

// The gradient of a history's mean row [R, K d], and what it adds to the projection's.
ConstMat Net::BackwardMean(const Batch& batch, size_t s, Workspace* work) {
  const Layout::Sequence& where = layout.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  const ConstMat d = ConstMat(work->d_request.view()).Cols(where.mean_column, where.token_width);
  if (config.projection == 0) return d;
  own.d_mean.Resize(d.rows, own.tape.mean.cols());
  const nn::Matrix& mean = own.tape.mean;
  nn::Linear& event = events[s];
  kernels::Gemm(kernels::Trans::kYes, kernels::Trans::kNo, mean.cols(), d.cols, d.rows, mean.data(),
                mean.cols(), d.data, d.stride, 1.0f, event.weight.grad.data(), d.cols);
  kernels::Gemm(kernels::Trans::kNo, kernels::Trans::kYes, d.rows, mean.cols(), d.cols, d.data,
                d.stride, event.weight.value.data(), d.cols, 0.0f, own.d_mean.data(), mean.cols());
  const std::vector<uint32_t>& offsets = batch.sequences[s].offsets;
  for (size_t r = 0; r < d.rows; ++r) {
    const auto length = static_cast<float>(offsets[r + 1] - offsets[r]);
    kernels::Active().axpy(length / (length + 1.0f), d.Row(r), event.bias.grad.data(), d.cols);
  }
  return own.d_mean.view();
}

void Net::BackwardSequence(const Batch& batch, size_t s, const nn::Update* now, Workspace* work) {
  const size_t d = config.embedding_width;
  const Layout::Sequence& where = layout.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  own.d_queries.Resize(batch.candidates, where.queries.size() * d);
  own.d_queries.Fill(0.0f);
  const Mat d_x = work->d_candidate.view();
  const Mat d_queries =
      config.projection > 0 ? d_x.Cols(0, config.projection) : own.d_queries.view();
  const bool rows_form = RowsForm(*work, s);
  if (!rows_form) {
    own.d_tokens.Resize(own.tokens.rows(), where.token_width);
    own.d_tokens.Fill(0.0f);
  }
  BackwardPool(batch, s, now, d_queries, work);
  const auto axpy = kernels::Active().axpy;
  for (size_t q = 0; q < where.queries.size(); ++q) {
    const size_t column = layout.candidate_fields[where.queries[q]].column;
    for (size_t n = 0; n < batch.candidates; ++n) {
      axpy(1.0f, own.d_queries.Row(n) + q * d, d_x.Row(n) + column, d);
    }
  }
  if (!rows_form) BackwardTokens(batch, s, work);
}

// From the gradient of a sequence's tokens to that of the rows they came from.
void Net::BackwardTokens(const Batch& batch, size_t s, Workspace* work) {
  const size_t d = config.embedding_width;
  const Layout::Sequence& where = layout.sequences[s];
  Workspace::Sequence& own = work->sequences[s];
  const size_t tokens = own.tokens.rows(), parts = where.tables.size();
  if (config.mean_pool) {
    nn::MeanPoolBackward(
        batch.sequences[s].offsets,
        ConstMat(work->d_request.view()).Cols(where.mean_column, where.token_width),
        own.d_tokens.view());
  }
  Matrix* d_raw = &own.d_tokens;
  if (config.PoolOf(s).encoder != EncoderKind::kNone) {
    d_raw = &own.d_raw;
    d_raw->Resize(tokens, where.token_width);
    encoders[s].Backward(EncoderOf(batch, s, work), &own.encoder, own.d_tokens.view(),
                         d_raw->view());
  }
  if (config.projection > 0) {
    own.d_parts.Resize(tokens, parts * d);
    Mat d_parts = own.d_parts.view();
    events[s].Backward(own.parts.view(), d_raw->view(), &d_parts);
    d_raw = &own.d_parts;
  }
  for (size_t k = 0; k < parts; ++k) {
    work->d_rows[where.tables[k]].Add(own.rows.data() + k, parts, 0,
                                      ConstMat(d_raw->view()).Cols(k * d, d));
  }
}

// Every place of the batch, so that those that are alone can be told.
void Net::Mark(Workspace* work) const {
  for (size_t s = 0; s < layout.sequences.size(); ++s) {
    work->sequences[s].marks.resize(work->sequences[s].rows.size());
  }
  // body(rows, marks, step, n) for each column of this table's rows; fields have no marks.
  const auto each_column = [&](size_t table, auto body) {
    const auto of_fields = [&](const std::vector<Layout::Field>& fields,
                               const std::vector<uint32_t>& rows) {
      for (size_t f = 0; f < fields.size(); ++f) {
        if (fields[f].table != table) continue;
        body(rows.data() + f, nullptr, fields.size(), rows.size() / fields.size());
      }
    };
    of_fields(layout.request_fields, work->request_rows);
    of_fields(layout.candidate_fields, work->candidate_rows);
    for (size_t s = 0; s < layout.sequences.size(); ++s) {
      const std::vector<size_t>& parts = layout.sequences[s].tables;
      Workspace::Sequence& own = work->sequences[s];
      const size_t K = parts.size();
      for (size_t k = 0; k < K; ++k) {
        if (parts[k] != table) continue;
        body(own.rows.data() + k, own.marks.data() + k, K, own.rows.size() / K);
      }
    }
  };
  using Rows = const uint32_t*;
  ParallelFor(tables.size(), [&](size_t table) {
    nn::RowGradient* gradient = &work->d_rows[table];
    size_t places = 0;
    each_column(table, [&](Rows, uint32_t*, size_t, size_t n) { places += n; });
    gradient->StartMarks(places);
    each_column(
        table, [&](Rows rows, uint32_t*, size_t step, size_t n) { gradient->Mark(rows, step, n); });
    each_column(table, [&](Rows rows, uint32_t* marks, size_t step, size_t n) {
      if (marks != nullptr) gradient->Number(rows, step, n, marks);
    });
  });
}

// After every sequence: each adds to the item vector's gradient.
void Net::BackwardItem(Workspace* work) {
  if (config.projection == 0) return;
  work->d_item_fields.Resize(work->item_fields.rows(), layout.item_fields_width);
  Mat d_fields = work->d_item_fields.view();
  item.Backward(work->item_fields.view(), work->d_candidate.view().Cols(0, config.projection),
                &d_fields);
}

void Net::ScatterFields(Workspace* work) const {
  const size_t d = config.embedding_width;
  const auto scatter = [&](const std::vector<Layout::Field>& fields,
                           const std::vector<uint32_t>& rows, const Matrix& d_x) {
    for (size_t f = 0; f < fields.size(); ++f) {
      work->d_rows[fields[f].table].Add(rows.data() + f, fields.size(), 0,
                                        d_x.view().Cols(fields[f].column, d));
    }
  };
  scatter(layout.request_fields, work->request_rows, work->d_request);
  scatter(layout.candidate_fields, work->candidate_rows,
          config.projection > 0 ? work->d_item_fields : work->d_candidate);
}

// What blocks left in the other arrangements, back to where it was taken from.
void Net::BackwardArrange(const Batch& batch, Workspace* work) const {
  const auto axpy = kernels::Active().axpy;
  const BlockShape& shape = layout.shape;
  const size_t of_request = shape.request_fields * shape.field_width;
  const size_t of_candidate = shape.candidate_fields * shape.field_width;
  for (size_t n = 0; n < work->d_joined.rows(); ++n) {
    const float* d = work->d_joined.Row(n);
    axpy(1.0f, d, work->d_request.Row(batch.request_of[n]), shape.request_width);
    axpy(1.0f, d + shape.request_width, work->d_candidate.Row(n), shape.candidate_width);
  }
  for (size_t n = 0; n < work->d_fields.rows(); ++n) {
    const float* d = work->d_fields.Row(n);
    axpy(1.0f, d, work->d_request.Row(batch.request_of[n]), of_request);
    axpy(1.0f, d + of_request, work->d_candidate.Row(n), of_candidate);
  }
}

double Net::Loss(const Batch& batch, ConstMat logits, Mat d_logits) const {
  const std::vector<TaskSpec>& tasks = config.schema.tasks;
  std::vector<float> weights;
  weights.reserve(tasks.size());
  for (const TaskSpec& task : tasks) {
    weights.push_back(task.kind == TaskKind::kBinary ? task.loss_weight : 0.0f);
  }
  double loss = nn::BceWithLogits(logits, batch.labels, batch.weights, weights, d_logits);
  for (size_t t = 0; t < tasks.size(); ++t) {
    if (tasks[t].kind == TaskKind::kBinary) continue;
    loss += nn::HuberOfUnits(logits, t, tasks[t].huber_delta, batch.labels, batch.weights,
                             tasks[t].loss_weight, d_logits);
  }
  return loss;
}

double Net::Backward(const Batch& batch, Workspace* work, const nn::Update* now,
                     const LogitLoss* own_loss) {
  for (nn::Parameter* p : Parameters()) p->grad.Fill(0.0f);
  work->d_rows.resize(tables.size());
  for (size_t i = 0; i < tables.size(); ++i) {
    work->d_rows[i].Start(tables[i].rows(), tables[i].width());
  }
  work->squares_now = 0.0;
  const size_t N = batch.candidates;
  const Mat d_logits = [&] {
    work->d_logits.Resize(N, config.schema.tasks.size());
    return work->d_logits.view();
  }();
  const double loss = own_loss != nullptr ? (*own_loss)({work->logits.data(), work->logits.size()},
                                                        {d_logits.data, N * d_logits.cols})
                                          : Loss(batch, work->logits.view(), d_logits);
  nn::ChainBackward(layout.links, work->logits.view(), work->conditional.view(), d_logits);
  if (config.wide) BackwardWide(batch, d_logits, work);
  work->d_outputs.Resize(N, layout.output_width);
  head.Backward(work->outputs.view(), &work->head, d_logits, work->d_outputs.view());

  const auto zeros = [](size_t rows, size_t cols, Matrix* m) {
    m->Resize(rows, cols);
    m->Fill(0.0f);
    return m->view();
  };
  const BlockGradient d{.request = zeros(batch.requests, layout.request_width, &work->d_request),
                        .candidate = zeros(N, layout.candidate_width, &work->d_candidate),
                        .joined = zeros(work->joined.rows(), work->joined.cols(), &work->d_joined),
                        .fields = zeros(work->fields.rows(), work->fields.cols(), &work->d_fields)};
  const BlockInput in = InputOf(batch, *work);
  size_t column = 0;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const size_t width = layout.outputs[i];
    blocks[i]->Backward(in, &work->blocks[i], work->outputs.view().Cols(column, width),
                        work->d_outputs.view().Cols(column, width), d);
    column += width;
  }
  BackwardArrange(batch, work);
  if (now != nullptr) {
    const auto squares = [](const Matrix& m) {
      return kernels::Active().sum_squares(m.data(), m.size());
    };
    if (!std::isfinite(loss) || !std::isfinite(squares(work->d_request)) ||
        !std::isfinite(squares(work->d_candidate))) {
      return std::nan("");
    }
    for (nn::EmbeddingTable& table : tables) table.PrepareState(now->rule);
    Mark(work);
  }
  for (size_t s = 0; s < layout.sequences.size(); ++s) BackwardSequence(batch, s, now, work);
  BackwardItem(work);
  ScatterFields(work);
  if (now != nullptr) {
    for (nn::RowGradient& gradient : work->d_rows) gradient.Merge();
  }
  return loss;
}

}  // namespace heed::model
