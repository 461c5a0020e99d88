// R1 composed of oneDNN's primitives, as a careful user of that library would: the viewer's side once a
// request, first layers split by algebra (R1Split in r1_model.py), weights packed once, bias, sum and
// ReLU as post-operations, every intermediate in a buffer of its own. oneDNN has no lookup: rows are
// copied by a loop that fetches ahead. Nothing of Heed's ranking is in here.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kernels/denormals.h"
#include "peers/r1_data.h"
#include "peers/worker.h"

namespace heed::r1 {
namespace {

using Dims = dnnl::memory::dims;
using Type = dnnl::memory::data_type;
using dnnl::memory;

constexpr int64_t kToken = kWidth;
constexpr int64_t kIn = kTables * kWidth, kHeads = 4, kHead = kWidth / kHeads;
constexpr int64_t kUnit1 = 80, kUnit2 = 40, kMlp1 = 256, kMlp2 = 128, kMlp3 = 64;

// [inputs, outputs], row-major: y = x W.
struct Matrix {
  int64_t rows = 0, cols = 0;
  std::vector<float> values;

  Matrix(int64_t r, int64_t c) : rows(r), cols(c), values(static_cast<size_t>(r * c)) {}
  float& At(int64_t r, int64_t c) { return values[static_cast<size_t>(r * cols + c)]; }
  float At(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * cols + c)]; }
};

class Weights {
 public:
  Weights(const Data& data, Family family) : data_(data), family_(family) {}

  // Input columns first .. first + count - 1 of a weight.
  Matrix Part(const std::string& name, int64_t first, int64_t count, float factor = 1.0f) const {
    const Tensor& tensor = data_.Weight(family_, name);
    const auto outputs = static_cast<int64_t>(tensor.shape[0]);
    const auto inputs = static_cast<int64_t>(tensor.shape[1]);
    Matrix part(count, outputs);
    for (int64_t k = 0; k < count; ++k) {
      for (int64_t n = 0; n < outputs; ++n) {
        part.At(k, n) = tensor.values[static_cast<size_t>(n * inputs + first + k)] * factor;
      }
    }
    return part;
  }
  Matrix Whole(const std::string& name, float factor = 1.0f) const {
    return Part(name, 0, static_cast<int64_t>(data_.Weight(family_, name).shape[1]), factor);
  }
  Matrix Vector(const std::string& name) const {
    const Tensor& tensor = data_.Weight(family_, name);
    Matrix vector(1, static_cast<int64_t>(tensor.values.size()));
    vector.values.assign(tensor.values.begin(), tensor.values.end());
    return vector;
  }

 private:
  const Data& data_;
  Family family_;
};

Matrix SideBySide(const Matrix& a, const Matrix& b) {
  Matrix both(a.rows, a.cols + b.cols);
  for (int64_t r = 0; r < a.rows; ++r) {
    std::copy_n(&a.values[static_cast<size_t>(r * a.cols)], a.cols, &both.At(r, 0));
    std::copy_n(&b.values[static_cast<size_t>(r * b.cols)], b.cols, &both.At(r, a.cols));
  }
  return both;
}

Matrix Below(const Matrix& a, const Matrix& b) {
  Matrix both(a.rows + b.rows, a.cols);
  both.values = a.values;
  both.values.insert(both.values.end(), b.values.begin(), b.values.end());
  return both;
}

Matrix Sum(Matrix a, const Matrix& b, float factor) {
  for (size_t i = 0; i < a.values.size(); ++i) a.values[i] += factor * b.values[i];
  return a;
}

Matrix Multiply(const Matrix& a, const Matrix& b) {
  Matrix product(a.rows, b.cols);
  for (int64_t r = 0; r < a.rows; ++r) {
    for (int64_t c = 0; c < b.cols; ++c) {
      double sum = 0;
      for (int64_t k = 0; k < a.cols; ++k) {
        sum += static_cast<double>(a.At(r, k)) * static_cast<double>(b.At(k, c));
      }
      product.At(r, c) = static_cast<float>(sum);
    }
  }
  return product;
}

// A row of primitives on fixed memory.
class Program {
 public:
  // Lives as long as the program: views do not hold what they look at.
  memory Buffer(const Dims& dims, Type type = Type::f32) {
    return held_.emplace_back(memory::desc(dims, type, RowMajor(dims)), engine_);
  }
  memory Constant(const Matrix& matrix) {
    memory result = Buffer({matrix.rows, matrix.cols});
    std::copy(matrix.values.begin(), matrix.values.end(), Floats(result));
    return result;
  }
  // The same bytes, from float (or element) `first` on, seen otherwise.
  memory View(const memory& of, int64_t first, const Dims& dims, const Dims& strides) const {
    const auto type = of.get_desc().data_type();
    auto* start = static_cast<std::byte*>(of.get_data_handle()) +
                  static_cast<size_t>(first) * memory::data_type_size(type);
    return {{dims, type, strides}, engine_, start};
  }
  static float* Floats(const memory& m) { return static_cast<float*>(m.get_data_handle()); }

  struct Extra {
    bool sum = false, relu = false;
    std::vector<float> scales;  // a column each, of int8 products
  };

  // dst = src weights + bias. Constant weights are packed as the primitive wants them; others stay
  // as they lie.
  void Product(const memory& src, memory weights, const memory& bias, const memory& dst,
               const Extra& extra, bool constant = true, Type weight_type = Type::f32) {
    dnnl::primitive_attr attr;
    dnnl::post_ops post;
    std::unordered_map<int, memory> args;
    if (extra.sum) post.append_sum();
    if (extra.relu) post.append_eltwise(1.0f, dnnl::algorithm::eltwise_relu, 0.0f, 0.0f);
    attr.set_post_ops(post);
    if (!extra.scales.empty()) attr.set_output_scales(1 << 1, extra.scales);
    const auto any = memory::desc(weights.get_desc().dims(), weight_type, memory::format_tag::any);
    const memory::desc want = constant ? any : weights.get_desc();
    const auto desc =
        bias ? dnnl::matmul::desc(src.get_desc(), want, bias.get_desc(), dst.get_desc())
             : dnnl::matmul::desc(src.get_desc(), want, dst.get_desc());
    const dnnl::matmul::primitive_desc made(desc, attr, engine_);
    if (constant) {
      memory packed(made.weights_desc(), engine_);
      dnnl::reorder(weights, packed).execute(stream_, weights, packed);
      stream_.wait();
      weights = packed;
    }
    args[DNNL_ARG_SRC] = src;
    args[DNNL_ARG_WEIGHTS] = weights;
    args[DNNL_ARG_DST] = dst;
    if (bias) args[DNNL_ARG_BIAS] = bias;
    Add(dnnl::matmul(made), std::move(args));
  }

  void Softmax(const memory& m, int axis) {
    const dnnl::softmax_forward::desc desc(dnnl::prop_kind::forward_inference, m.get_desc(), axis);
    Add(dnnl::softmax_forward({desc, engine_}), {{DNNL_ARG_SRC, m}, {DNNL_ARG_DST, m}});
  }

  // In place, one slope a column. (As a post-operation of a product oneDNN 2.6 refuses to run it.)
  void PRelu(const memory& m, const memory& slopes) {
    const dnnl::prelu_forward::desc desc(dnnl::prop_kind::forward_inference, m.get_desc(),
                                         slopes.get_desc());
    Add(dnnl::prelu_forward({desc, engine_}),
        {{DNNL_ARG_SRC, m}, {DNNL_ARG_WEIGHTS, slopes}, {DNNL_ARG_DST, m}});
  }

  // dst = round(src * scale) where dst is of integers.
  void Copy(const memory& src, const memory& dst, float scale) {
    dnnl::primitive_attr attr;
    attr.set_output_scales(0, {scale});
    Add(dnnl::reorder(src, dst, attr), {{DNNL_ARG_SRC, src}, {DNNL_ARG_DST, dst}});
  }

  void Run() {
    for (auto& [primitive, args] : steps_) primitive.execute(stream_, args);
    stream_.wait();
  }

 private:
  static Dims RowMajor(const Dims& dims) {
    Dims strides(dims.size(), 1);
    for (size_t i = dims.size() - 1; i > 0; --i) strides[i - 1] = strides[i] * dims[i];
    return strides;
  }
  void Add(dnnl::primitive primitive, std::unordered_map<int, memory> args) {
    steps_.emplace_back(std::move(primitive), std::move(args));
  }

  static const dnnl::engine& Engine() {
    static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
    return engine;
  }

  dnnl::engine engine_ = Engine();
  dnnl::stream stream_{engine_};
  std::vector<memory> held_;
  std::vector<std::pair<dnnl::primitive, std::unordered_map<int, memory>>> steps_;
};

void Gather(const Data& data, std::span<const uint32_t> ids, float* out) {
  constexpr size_t kAhead = 24;
  const auto row = [&](size_t i) { return data.table(i % kTables).data() + ids[i] * kWidth; };
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i + kAhead < ids.size()) {
      for (size_t j = 0; j < kWidth; j += 16) __builtin_prefetch(row(i + kAhead) + j);
    }
    std::memcpy(out + i * kWidth, row(i), kWidth * sizeof(float));
  }
}

float Largest(const memory& m) {
  float largest = 0;
  const size_t n = m.get_desc().get_size() / sizeof(float);
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, std::abs(Program::Floats(m)[i]));
  return largest;
}

// What both families begin with: rows, events h, candidates c, the request's part of mlp1.
struct Start {
  int64_t L, N;
  Program program;
  memory rows, h, c, sides_in, sides;

  Start(const Data& data, const Weights& weights, const std::vector<float>& sides_factor)
      : L(static_cast<int64_t>(data.history())), N(static_cast<int64_t>(data.candidates())) {
    rows = program.Buffer({L + N, kIn});
    h = program.Buffer({L, kWidth});
    c = program.Buffer({N, kWidth});
    sides_in = program.Buffer({1, 2 * kWidth});
    sides = program.Buffer({1, kMlp1});
    program.Product(program.View(rows, 0, {L, kIn}, {kIn, 1}),
                    program.Constant(weights.Whole("event_w")),
                    program.Constant(weights.Vector("event_b")), h, {});
    program.Product(program.View(rows, L * kIn, {N, kIn}, {kIn, 1}),
                    program.Constant(weights.Whole("candidate_w")),
                    program.Constant(weights.Vector("candidate_b")), c, {});
    Matrix both =
        Below(weights.Part("mlp1_w", 0, kWidth), weights.Part("mlp1_w", 3 * kWidth, kWidth));
    both = Below(both, weights.Vector("mlp1_b"));
    for (int64_t r = 0; r < both.rows; ++r) {
      for (int64_t n = 0; n < both.cols && !sides_factor.empty(); ++n) {
        both.At(r, n) *= sides_factor[static_cast<size_t>(n)];
      }
    }
    Matrix bias(1, kMlp1), weight(2 * kWidth, kMlp1);
    std::copy(both.values.end() - kMlp1, both.values.end(), bias.values.begin());
    std::copy(both.values.begin(), both.values.end() - kMlp1, weight.values.begin());
    program.Product(sides_in, program.Constant(weight), program.Constant(bias), sides, {});
  }

  void Fill(const Data& data, const Request& request) const {
    float* out = Program::Floats(rows);
    Gather(data, request.history, out);
    Gather(data, request.candidates, out + L * kIn);
    std::copy(request.viewer.begin(), request.viewer.end(), Program::Floats(sides_in));
    std::copy(request.context.begin(), request.context.end(), Program::Floats(sides_in) + kWidth);
  }
};

// The attended part's weight in mlp1, dot's output projection folded in: [64, 256].
Matrix AttendedWeight(const Weights& weights, Family family) {
  const Matrix part = weights.Part("mlp1_w", 2 * kWidth, kWidth);
  return family == Family::kDot ? Multiply(weights.Whole("output_w"), part) : part;
}

// scores and context of all heads, [N, 64].
memory DotAttention(Start* start, const Weights& weights) {
  Program& program = start->program;
  const int64_t L = start->L, N = start->N;
  const memory kv = program.Buffer({L, 2 * kWidth}), q = program.Buffer({N, kWidth});
  program.Product(start->h,
                  program.Constant(SideBySide(weights.Whole("key_w"), weights.Whole("value_w"))),
                  {}, kv, {});
  program.Product(start->c, program.Constant(weights.Whole("query_w", 0.25f)), {}, q, {});
  // Heads one after the other in memory: on columns of a wider matrix oneDNN 2.6 falls back to a plain
  // GEMM at a fifth of the rate.
  const auto heads = [&](const memory& of, int64_t first, const Dims& dims, const Dims& strides) {
    memory dense = program.Buffer(dims);
    program.Copy(program.View(of, first, dims, strides), dense, 1.0f);
    return dense;
  };
  const memory queries = heads(q, 0, {kHeads, N, kHead}, {kHead, kWidth, 1});
  const memory keys = heads(kv, 0, {kHeads, kHead, L}, {kHead, 1, 2 * kWidth});
  const memory values = heads(kv, kWidth, {kHeads, L, kHead}, {kHead, 2 * kWidth, 1});
  const memory scores = program.Buffer({kHeads, N, L}), taken = program.Buffer({kHeads, N, kHead});
  program.Product(queries, keys, {}, scores, {}, false);
  program.Softmax(scores, 2);
  program.Product(scores, values, {}, taken, {}, false);
  memory attended = program.Buffer({N, kWidth});
  program.Copy(taken, program.View(attended, 0, {kHeads, N, kHead}, {kHead, kWidth, 1}), 1.0f);
  return attended;
}

// DIN's unit for `chunk` candidates at a time, [N, 64]; the steps of a chunk are those of another.
class DinUnit {
 public:
  DinUnit(Start* start, const Weights& weights, int64_t chunk, Type low)
      : start_(start), chunk_(chunk), low_(low) {
    const int64_t L = start->L, N = start->N;
    const Matrix q = weights.Part("unit1_w", 0, kWidth),
                 k = weights.Part("unit1_w", kWidth, kWidth);
    const Matrix d = weights.Part("unit1_w", 2 * kWidth, kWidth);
    product_ = weights.Part("unit1_w", 3 * kWidth, kWidth).values;
    key_ = Sum(k, d, -1.0f).values;
    own_ = start->program.Buffer({N, kUnit1});
    start->program.Product(start->c, start->program.Constant(Sum(q, d, 1.0f)),
                           start->program.Constant(weights.Vector("unit1_b")), own_, {});
    attended_ = start->program.Buffer({N, kWidth});

    const int64_t columns = chunk * kUnit1;
    folded_ = program_.Buffer({kWidth, columns}, low);
    bias_ = program_.Buffer({1, columns});
    h_ = program_.Buffer({L, kWidth}, low);
    const memory x1 = program_.Buffer({L, columns}, low),
                 x2 = program_.Buffer({L * chunk, kUnit2}, low);
    const memory scores = program_.Buffer({L, chunk});
    program_.Product(h_, folded_, bias_, x1, {}, false);
    const memory pairs = program_.View(x1, 0, {L * chunk, kUnit1}, {kUnit1, 1});
    program_.PRelu(pairs, program_.Constant(weights.Vector("slope1")));
    program_.Product(pairs, program_.Constant(weights.Whole("unit2_w")),
                     program_.Constant(weights.Vector("unit2_b")), x2, {}, true, low);
    program_.PRelu(x2, program_.Constant(weights.Vector("slope2")));
    // The bias of the last layer moves all scores alike and softmax takes it away.
    program_.Product(x2, program_.Constant(weights.Whole("unit3_w", 0.125f)), {},
                     program_.View(scores, 0, {L * chunk, 1}, {1, 1}), {}, true, low);
    // Along the rows: down the columns oneDNN 2.6 has nothing but its reference, 20 times slower.
    const memory turned = program_.Buffer({chunk, L});
    program_.Copy(program_.View(scores, 0, {chunk, L}, {1, chunk}), turned, 1.0f);
    program_.Softmax(turned, 1);
    taken_ = program_.Buffer({chunk, kWidth});
    program_.Product(turned, start->h, {}, taken_, {}, false);
  }

  void Run() {
    const float* c = Program::Floats(start_->c);
    const float* own = Program::Floats(own_);
    const float* h = Program::Floats(start_->h);
    for (int64_t i = 0; i < start_->L * kToken; ++i) Put(h_, i, h[i]);
    for (int64_t n = 0; n < start_->N; n += chunk_) {
      // [64, chunk * 80]: column (i, u) is (Wk - Wd + Wp diag c_i) of unit u.
      for (int64_t k = 0; k < kToken; ++k) {
        const float* key = key_.data() + k * kUnit1;
        const float* product = product_.data() + k * kUnit1;
        for (int64_t i = 0; i < chunk_; ++i) {
          PutRow(k * chunk_ * kUnit1 + i * kUnit1, key, product, c[(n + i) * kWidth + k]);
        }
      }
      std::memcpy(Program::Floats(bias_), own + n * kUnit1,
                  static_cast<size_t>(chunk_ * kUnit1) * sizeof(float));
      program_.Run();
      std::memcpy(Program::Floats(attended_) + n * kWidth, Program::Floats(taken_),
                  static_cast<size_t>(chunk_ * kWidth) * sizeof(float));
    }
  }
  const memory& attended() const { return attended_; }

 private:
  static uint16_t Bf16(float x) {
    uint32_t bits = 0;
    std::memcpy(&bits, &x, sizeof bits);
    return static_cast<uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
  }
  void Put(const memory& m, int64_t i, float x) const {
    if (low_ == Type::f32) {
      Program::Floats(m)[i] = x;
    } else {
      static_cast<uint16_t*>(m.get_data_handle())[i] = Bf16(x);
    }
  }
  void PutRow(int64_t at, const float* key, const float* product, float factor) const {
    if (low_ == Type::f32) {
      float* to = Program::Floats(folded_) + at;
      for (int64_t u = 0; u < kUnit1; ++u) to[u] = key[u] + product[u] * factor;
    } else {
      auto* to = static_cast<uint16_t*>(folded_.get_data_handle()) + at;
      for (int64_t u = 0; u < kUnit1; ++u) to[u] = Bf16(key[u] + product[u] * factor);
    }
  }

  Start* start_;
  int64_t chunk_;
  Type low_;
  Program program_;  // of one chunk
  memory own_, attended_, folded_, bias_, h_, taken_;
  std::vector<float> key_, product_;  // [64, 80]
};

class Ranker {
 public:
  virtual ~Ranker() = default;
  virtual void Score(const Request& request, float* logits) = 0;
};

// fp32 throughout; DIN's unit in `low` when told so.
class Plain : public Ranker {
 public:
  Plain(const Data& data, Family family, int64_t chunk = 0, Type low = Type::f32)
      : data_(data), weights_(data, family), start_(data, weights_, {}) {
    Program& program = start_.program;
    x1_ = program.Buffer({start_.N, kMlp1});
    program.Product(start_.c, program.Constant(weights_.Part("mlp1_w", kWidth, kWidth)), {}, x1_,
                    {});
    if (family == Family::kDot) {
      attended_ = DotAttention(&start_, weights_);
    } else {
      unit_ = std::make_unique<DinUnit>(&start_, weights_, chunk, low);
      attended_ = unit_->attended();
    }
    x2_ = rest_.Buffer({start_.N, kMlp2});
    x3_ = rest_.Buffer({start_.N, kMlp3});
    logits_ = rest_.Buffer({start_.N, kOutputs});
    rest_.Product(attended_, rest_.Constant(AttendedWeight(weights_, family)), start_.sides, x1_,
                  {.sum = true, .relu = true});
    Layer("mlp2", x1_, x2_, true);
    Layer("mlp3", x2_, x3_, true);
    Layer("head", x3_, logits_, false);
  }

  void Score(const Request& request, float* logits) override {
    start_.Fill(data_, request);
    start_.program.Run();
    if (unit_) unit_->Run();
    rest_.Run();
    std::memcpy(logits, Program::Floats(logits_), logits_.get_desc().get_size());
  }

  // The largest |x| of c, what attention took, and of each layer's output, over `requests`.
  std::vector<float> Ranges(const std::vector<size_t>& requests) {
    std::vector<float> ranges(5, 0.0f), logits(data_.candidates() * kOutputs);
    for (const size_t r : requests) {
      Score(data_.request(r), logits.data());
      const memory* seen[] = {&start_.c, &attended_, &x1_, &x2_, &x3_};
      for (size_t i = 0; i < 5; ++i) ranges[i] = std::max(ranges[i], Largest(*seen[i]));
    }
    return ranges;
  }

 private:
  void Layer(const std::string& name, const memory& from, const memory& to, bool relu) {
    rest_.Product(from, rest_.Constant(weights_.Whole(name + "_w")),
                  rest_.Constant(weights_.Vector(name + "_b")), to, {.relu = relu});
  }

  const Data& data_;
  Weights weights_;
  Start start_;
  std::unique_ptr<DinUnit> unit_;
  Program rest_;
  memory x1_, x2_, x3_, logits_, attended_;
};

// Dot with the MLP in int8: activations by one scale each, weights by one a column; attention in fp32.
class DotInt8 : public Ranker {
 public:
  explicit DotInt8(const Data& data) : data_(data), weights_(data, Family::kDot) {
    std::vector<size_t> requests;
    for (size_t r = data.truths(); r < data.truths() + 16; ++r) requests.push_back(r);
    const std::vector<float> ranges = Plain(data, Family::kDot).Ranges(requests);
    Quantised mlp1(Below(Scaled(weights_.Part("mlp1_w", kWidth, kWidth), ranges[0] / 127.0f),
                         Scaled(AttendedWeight(weights_, Family::kDot), ranges[1] / 127.0f)));
    // oneDNN adds the bias to the integer sums, before it scales them.
    std::vector<float> inverse(mlp1.scales.size());
    for (size_t n = 0; n < inverse.size(); ++n) inverse[n] = 1.0f / mlp1.scales[n];
    start_ = std::make_unique<Start>(data, weights_, inverse);
    Program& program = start_->program;
    const int64_t N = start_->N;
    const memory attended = DotAttention(start_.get(), weights_);
    const memory x0 = program.Buffer({N, 2 * kWidth}, Type::s8);
    program.Copy(start_->c, program.View(x0, 0, {N, kWidth}, {2 * kWidth, 1}), 127.0f / ranges[0]);
    program.Copy(attended, program.View(x0, kWidth, {N, kWidth}, {2 * kWidth, 1}),
                 127.0f / ranges[1]);
    const memory x1 = program.Buffer({N, kMlp1}, Type::u8),
                 x2 = program.Buffer({N, kMlp2}, Type::u8),
                 x3 = program.Buffer({N, kMlp3}, Type::u8);
    logits_ = program.Buffer({N, kOutputs});
    Add(mlp1, x0, start_->sides, x1, ranges[2] / 255.0f, true);
    Layer("mlp2", x1, x2, ranges[2] / 255.0f, ranges[3] / 255.0f, true);
    Layer("mlp3", x2, x3, ranges[3] / 255.0f, ranges[4] / 255.0f, true);
    Layer("head", x3, logits_, ranges[4] / 255.0f, 1.0f, false);
  }

  void Score(const Request& request, float* logits) override {
    start_->Fill(data_, request);
    start_->program.Run();
    std::memcpy(logits, Program::Floats(logits_), logits_.get_desc().get_size());
  }

 private:
  struct Quantised {
    Matrix values;
    std::vector<float> scales;  // a column each

    explicit Quantised(Matrix w) : values(std::move(w)), scales(static_cast<size_t>(values.cols)) {
      for (int64_t n = 0; n < values.cols; ++n) {
        float largest = 1e-20f;
        for (int64_t k = 0; k < values.rows; ++k)
          largest = std::max(largest, std::abs(values.At(k, n)));
        scales[static_cast<size_t>(n)] = largest / 127.0f;
        for (int64_t k = 0; k < values.rows; ++k) {
          values.At(k, n) = std::nearbyint(values.At(k, n) * 127.0f / largest);
        }
      }
    }
  };
  static Matrix Scaled(Matrix w, float factor) {
    for (float& v : w.values) v *= factor;
    return w;
  }

  void Layer(const std::string& name, const memory& from, const memory& to, float from_scale,
             float to_scale, bool relu) {
    const Quantised w(Scaled(weights_.Whole(name + "_w"), from_scale));
    Matrix bias = weights_.Vector(name + "_b");
    for (size_t n = 0; n < w.scales.size(); ++n) bias.values[n] /= w.scales[n];
    Add(w, from, start_->program.Constant(bias), to, to_scale, relu);
  }
  void Add(const Quantised& w, const memory& from, const memory& bias, const memory& to,
           float to_scale, bool relu) {
    std::vector<float> scales = w.scales;
    for (float& scale : scales) scale /= to_scale;
    start_->program.Product(from, start_->program.Constant(w.values), bias, to,
                            {.relu = relu, .scales = scales}, true, Type::s8);
  }

  const Data& data_;
  Weights weights_;
  std::unique_ptr<Start> start_;
  memory logits_;
};

std::vector<Variant> Variants(const Data& data) {
  std::vector<Variant> variants;
  const auto add = [&](const std::string& name, Family family,
                       const std::shared_ptr<Ranker>& ranker) {
    variants.push_back({name, family, [ranker](const Request& request, float* logits) {
                          const kernels::FlushDenormals flush;
                          ranker->Score(request, logits);
                        }});
  };
  add("dot_fp32_split", Family::kDot, std::make_shared<Plain>(data, Family::kDot));
  add("dot_int8_split", Family::kDot, std::make_shared<DotInt8>(data));
  for (const int64_t chunk : {20, 100}) {
    add(fmt::format("din_fp32_split_{}", chunk), Family::kDin,
        std::make_shared<Plain>(data, Family::kDin, chunk));
    add(fmt::format("din_bf16_split_{}", chunk), Family::kDin,
        std::make_shared<Plain>(data, Family::kDin, chunk, Type::bf16));
  }
  return variants;
}

}  // namespace
}  // namespace heed::r1

int main(int argc, char** argv) {
  const dnnl_version_t* version = dnnl_version();
  return heed::r1::ServeWorker(
      argc, argv, fmt::format("{}.{}.{}", version->major, version->minor, version->patch),
      heed::r1::Variants);
}
