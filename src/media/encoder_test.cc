// ONNX models made here, byte by byte, against plain arithmetic.
#include "media/encoder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"

namespace heed::media {
namespace {

// The wire format of protocol buffers: https://protobuf.dev/programming-guides/encoding.
class Message {
 public:
  Message& Number(uint64_t field, uint64_t value) {
    ByteWriter writer(bytes_);
    writer.Varint(field << 3);
    writer.Varint(value);
    return *this;
  }
  Message& Bytes(uint64_t field, std::string_view value) {
    ByteWriter writer(bytes_);
    writer.Varint(field << 3 | 2);
    writer.String(value);
    return *this;
  }
  Message& Of(uint64_t field, const Message& value) { return Bytes(field, value.bytes_); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// Field numbers of onnx.proto.
Message Tensor(const std::string& name, const std::vector<uint64_t>& dims,
               const std::vector<float>& values) {
  Message out;
  for (const uint64_t dim : dims) out.Number(1, dim);
  return out.Number(2, 1).Bytes(8, name).Bytes(
      9, {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)});
}

Message Node(const char* type, const std::vector<std::string>& inputs, const std::string& output) {
  Message out;
  for (const std::string& input : inputs) out.Bytes(1, input);
  return out.Bytes(2, output).Bytes(3, output).Bytes(4, type);
}

Message Value(const std::string& name, const std::vector<uint64_t>& dims) {
  Message shape;
  for (const uint64_t dim : dims) shape.Of(1, Message().Number(1, dim));
  const Message tensor = Message().Number(1, 1).Of(2, shape);
  return Message().Bytes(1, name).Of(2, Message().Of(1, tensor));
}

constexpr int kSide = 8;
const std::vector<float> kWeights = {1, 2, -3, 0.5f, 0, 4};  // [2, 3]
const std::vector<float> kBias = {0.25f, -1};

// y = W mean(x) + b over the picture.
std::string MeanModel(const std::vector<float>& bias = kBias) {
  const Message transposed =
      Message().Bytes(1, "transB").Number(3, 1).Number(20, 2);  // an attribute: name, i, type INT
  Message graph;
  graph.Of(1, Node("GlobalAveragePool", {"x"}, "pooled"))
      .Of(1, Node("Flatten", {"pooled"}, "flat"))
      .Of(1, Node("Gemm", {"flat", "w", "b"}, "y").Of(5, transposed))
      .Bytes(2, "mean")
      .Of(5, Tensor("w", {2, 3}, kWeights))
      .Of(5, Tensor("b", {2}, bias))
      .Of(11, Value("x", {1, 3, kSide, kSide}))
      .Of(12, Value("y", {1, 2}));
  return Message().Number(1, 7).Of(7, graph).Of(8, Message().Bytes(1, "").Number(2, 11)).bytes();
}

// Left half and right half, each of one colour.
struct Picture {
  static constexpr int kWidth = 64, kHeight = 32;
  explicit Picture(std::array<uint8_t, 3> left, std::array<uint8_t, 3> right) {
    for (size_t plane = 0; plane < 3; ++plane) {
      const int width = plane == 0 ? kWidth : kWidth / 2,
                height = plane == 0 ? kHeight : kHeight / 2;
      for (int i = 0; i < width * height; ++i)
        planes[plane].push_back(i % width < width / 2 ? left[plane] : right[plane]);
    }
  }
  VideoFrame frame() const {
    return {.width = kWidth,
            .height = kHeight,
            .y = planes[0],
            .u = planes[1],
            .v = planes[2],
            .y_stride = kWidth,
            .uv_stride = kWidth / 2};
  }
  std::array<std::vector<uint8_t>, 3> planes;
};

// BT.601, by its own definition: Kr = 0.299, Kb = 0.114, Y in 16 to 235, U and V in 16 to 240.
std::array<double, 3> RgbOf(std::array<uint8_t, 3> yuv) {
  const double y = (yuv[0] - 16) / 219.0, pb = (yuv[1] - 128) / 224.0, pr = (yuv[2] - 128) / 224.0;
  const double r = y + 2 * (1 - 0.299) * pr, b = y + 2 * (1 - 0.114) * pb;
  const double g = (y - 0.299 * r - 0.114 * b) / 0.587;
  return {std::clamp(r, 0.0, 1.0), std::clamp(g, 0.0, 1.0), std::clamp(b, 0.0, 1.0)};
}

class EncoderTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/heed_encoder_test_" + std::to_string(getpid());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  EncoderOptions Options(const std::string& bytes) {
    const std::string path = folder_ + "/mean.onnx";
    std::ofstream(path, std::ios::binary) << bytes;
    return {.file = path, .side = kSide};
  }

  std::string folder_;
};

TEST_F(EncoderTest, GivesWhatTheArithmeticSays) {
  const EncoderOptions options = Options(MeanModel());
  auto opened = Encoder::Open(options);
  ASSERT_TRUE(opened.ok()) << opened.status().message();
  Encoder& encoder = *opened.value();
  EXPECT_EQ(encoder.info().id, "mean");
  EXPECT_EQ(encoder.info().dim, 2u);
  const std::array<uint8_t, 3> colours[][2] = {{{81, 128, 128}, {181, 128, 128}},
                                               {{16, 128, 128}, {235, 128, 128}},
                                               {{110, 90, 170}, {110, 90, 170}},
                                               {{90, 160, 110}, {150, 100, 140}}};
  for (const auto& [left, right] : colours) {
    const auto vector = encoder.Encode(Picture(left, right).frame());
    ASSERT_TRUE(vector.ok()) << vector.status().message();
    ASSERT_EQ(vector.value().size(), 2u);
    for (size_t out = 0; out < 2; ++out) {
      double expected = static_cast<double>(kBias[out]);
      for (size_t c = 0; c < 3; ++c) {
        const double value = (RgbOf(left)[c] + RgbOf(right)[c]) / 2;
        expected += static_cast<double>(kWeights[out * 3 + c]) *
                    (value - static_cast<double>(options.mean[c])) /
                    static_cast<double>(options.deviation[c]);
      }
      EXPECT_NEAR(static_cast<double>(vector.value()[out]), expected, 1e-3);
    }
  }
  EXPECT_FALSE(encoder.Encode({.width = 4, .height = 4}).ok());
}

TEST_F(EncoderTest, WhatIsNoModelIsRefusedAndTheProcessLives) {
  const auto refused = [&](const std::string& bytes) {
    const auto opened = Encoder::Open(Options(bytes));
    EXPECT_FALSE(opened.ok());
    return opened.ok() ? "" : opened.status().message();
  };
  for (const std::string& bytes :
       {std::string(), std::string("no model"), std::string(4'000, '\xff')}) {
    EXPECT_NE(refused(bytes).find("mean.onnx: "), std::string::npos);
  }
  EXPECT_NE(refused(MeanModel({1, std::numeric_limits<float>::infinity()})).find("not finite"),
            std::string::npos);
  EXPECT_EQ(Encoder::Open({.file = folder_ + "/none.onnx"}).status().code(), Code::kNotFound);
  EXPECT_EQ(Encoder::Open({.file = folder_}).status().code(), Code::kNotFound);
  EncoderOptions large = Options("");
  std::filesystem::resize_file(large.file, (uintmax_t{512} << 20) + 1);  // sparse
  EXPECT_EQ(Encoder::Open(large).status().code(), Code::kTooLarge);
  EncoderOptions other = Options(MeanModel());
  other.deviation[1] = 0;
  EXPECT_FALSE(Encoder::Open(other).ok());
}

TEST_F(EncoderTest, DamagedModelsEndInAStatus) {
  const std::string whole = MeanModel();
  Random random(7);
  size_t refused = 0;
  for (int i = 0; i < 40; ++i) {
    std::string damaged = whole;
    for (int k = 0; k < 3; ++k)
      damaged[random.Below(damaged.size())] = static_cast<char>(random.Below(256));
    if (i % 4 == 0) damaged.resize(random.Below(damaged.size()));
    refused += !Encoder::Open(Options(damaged)).ok();
  }
  EXPECT_GT(refused, 10u);
}

}  // namespace
}  // namespace heed::media
