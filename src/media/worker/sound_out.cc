#include "media/worker/sound_out.h"

#include <algorithm>
#include <cstdlib>

namespace heed::media {
namespace {

constexpr int64_t kJitterUs = 30000;
constexpr size_t kPiece = 1600;  // samples of mono in a message: 100 ms
constexpr int kMono = 16000, kStereo = 48000;

// Appends what the resampler gives for `samples` at `data` (nullptr: what it still holds).
Status Resample(SwrContext* swr, const uint8_t** data, int samples, int channels,
                std::vector<float>* out) {
  const int most = swr_get_out_samples(swr, samples);
  if (most < 0) return InvalidArgument("resampler: " + LibavError(most));
  const size_t before = out->size();
  out->resize(before + static_cast<size_t>(most) * static_cast<size_t>(channels));
  auto* to = reinterpret_cast<uint8_t*>(out->data() + before);
  const int got = swr_convert(swr, &to, most, data, samples);
  if (got < 0) return InvalidArgument("resampler: " + LibavError(got));
  out->resize(before + static_cast<size_t>(got) * static_cast<size_t>(channels));
  return {};
}

}  // namespace

Status SoundOut::Configure(const AVFrame& frame) {
  AVChannelLayout from{}, stereo = AV_CHANNEL_LAYOUT_STEREO, mono = AV_CHANNEL_LAYOUT_MONO;
  if (frame.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) {
    av_channel_layout_default(&from, frame.ch_layout.nb_channels);
  } else if (const int error = av_channel_layout_copy(&from, &frame.ch_layout); error < 0) {
    return InvalidArgument("channel layout: " + LibavError(error));
  }
  SwrContext *first = nullptr, *second = nullptr;
  int error =
      swr_alloc_set_opts2(&first, &stereo, AV_SAMPLE_FMT_FLT, kStereo, &from,
                          static_cast<AVSampleFormat>(frame.format), frame.sample_rate, 0, nullptr);
  to_stereo_.reset(first);
  av_channel_layout_uninit(&from);
  // One channel is played by two loudspeakers, two are one by their mean. (libswresample's own
  // matrices would make the first 3 dB softer and the second 3 dB louder.)
  static constexpr double kBoth[] = {1, 1}, kMean[] = {0.5, 0.5};
  if (error >= 0 && frame.ch_layout.nb_channels == 1) {
    error = swr_set_matrix(to_stereo_.get(), kBoth, 1);
  }
  if (error >= 0) error = swr_init(to_stereo_.get());
  if (error >= 0) {
    error = swr_alloc_set_opts2(&second, &mono, AV_SAMPLE_FMT_FLT, kMono, &stereo,
                                AV_SAMPLE_FMT_FLT, kStereo, 0, nullptr);
    to_mono_.reset(second);
  }
  if (error >= 0) error = swr_set_matrix(to_mono_.get(), kMean, 2);
  if (error >= 0) error = swr_init(to_mono_.get());
  if (error < 0) return InvalidArgument("resampler: " + LibavError(error));
  format_ = static_cast<AVSampleFormat>(frame.format);
  rate_ = frame.sample_rate;
  channels_ = frame.ch_layout.nb_channels;
  return {};
}

Status SoundOut::Take(const AVFrame& frame, int64_t pts_us) {
  if (frame.sample_rate < 4000 || frame.sample_rate > 384000 || frame.nb_samples <= 0 ||
      frame.ch_layout.nb_channels < 1 || frame.ch_layout.nb_channels > 16) {
    return {};  // nothing that is sound
  }
  const bool same = format_ == frame.format && rate_ == frame.sample_rate &&
                    channels_ == frame.ch_layout.nb_channels;
  const int64_t expected = running_ ? begin_us_ + taken_ * 1000000 / rate_ : 0;
  if (running_ && (!same || std::abs(pts_us - expected) > kJitterUs)) HEED_RETURN_IF_ERROR(Drain());
  if (!running_) {
    HEED_RETURN_IF_ERROR(Configure(frame));
    running_ = true;
    begin_us_ = pts_us;
    taken_ = sent_ = 0;
  }
  taken_ += frame.nb_samples;
  HEED_RETURN_IF_ERROR(Convert(const_cast<const uint8_t**>(frame.extended_data), frame.nb_samples));
  while (mono_.size() >= kPiece && stereo_.size() >= 6 * kPiece) {
    HEED_RETURN_IF_ERROR(Send(kPiece));
  }
  return {};
}

Status SoundOut::Convert(const uint8_t** data, int samples) {
  const size_t before = stereo_.size();
  HEED_RETURN_IF_ERROR(Resample(to_stereo_.get(), data, samples, 2, &stereo_));
  const auto* fresh = reinterpret_cast<const uint8_t*>(stereo_.data() + before);
  const int frames = static_cast<int>((stereo_.size() - before) / 2);
  if (frames > 0) HEED_RETURN_IF_ERROR(Resample(to_mono_.get(), &fresh, frames, 1, &mono_));
  return {};
}

Status SoundOut::Drain() {
  if (!running_) return {};
  running_ = false;
  HEED_RETURN_IF_ERROR(Convert(nullptr, 0));
  HEED_RETURN_IF_ERROR(Resample(to_mono_.get(), nullptr, 0, 1, &mono_));
  while (true) {
    const size_t left = std::min({mono_.size(), stereo_.size() / 6, kPiece});
    if (left == 0) break;
    HEED_RETURN_IF_ERROR(Send(left));
  }
  mono_.clear();
  stereo_.clear();
  return {};
}

Status SoundOut::Send(size_t samples) {
  const int64_t pts_us = begin_us_ + sent_ * 1000000 / kMono;
  HEED_RETURN_IF_ERROR(
      emit_(pts_us, std::span(mono_).first(samples), std::span(stereo_).first(6 * samples)));
  sent_ += static_cast<int64_t>(samples);
  mono_.erase(mono_.begin(), mono_.begin() + static_cast<ptrdiff_t>(samples));
  stereo_.erase(stereo_.begin(), stereo_.begin() + static_cast<ptrdiff_t>(6 * samples));
  return {};
}

}  // namespace heed::media
