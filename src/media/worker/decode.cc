#include "media/worker/decode.h"

#include <iconv.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>

#include "media/wire.h"
#include "media/worker/fetch.h"
#include "media/worker/ladder.h"
#include "media/worker/lag.h"
#include "media/worker/libav.h"
#include "media/worker/picture_out.h"
#include "media/worker/picture_pick.h"
#include "media/worker/references.h"
#include "media/worker/sandbox.h"
#include "media/worker/sound_out.h"
#include "media/worker/timeline.h"

namespace heed::media {
namespace {

constexpr int kIoBuffer = 65536;
constexpr int64_t kLargestPacket = 8 << 20;
constexpr int64_t kMostPixels = int64_t{3840} * 2160;
constexpr int kMostErrors = 200;  // packets in a row that cannot be read
constexpr int64_t kAliveUs = 250000;
constexpr const char* kFormats =
    "mov,mp4,m4a,3gp,3g2,mj2,flv,live_flv,mpegts,matroska,webm,wav,flac,mp3,aac,ogg";
constexpr const char* kCodecs =
    "h264,hevc,libdav1d,vp8,vp9,mpeg4,aac,aac_fixed,aac_latm,mp3float,mp3,opus,libopus,vorbis,flac,"
    "pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_u8,pcm_alaw,pcm_mulaw,speex,libspeex,nellymoser";

int64_t SteadyUs() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

References ReferencesOf(const AVCodecContext& codec) {
  const NalCodec nal = codec.codec_id == AV_CODEC_ID_H264   ? NalCodec::kH264
                       : codec.codec_id == AV_CODEC_ID_HEVC ? NalCodec::kHevc
                                                            : NalCodec::kNone;
  return {nal, {codec.extradata, static_cast<size_t>(codec.extradata_size)}};
}

class Decoder {
 public:
  explicit Decoder(const DecodeOptions& options)
      : options_(options),
        timeline_(options.epoch, options.base_us),
        sound_([this](int64_t pts_us, std::span<const float> mono, std::span<const float> stereo) {
          return SendSound(pts_us, mono, stereo);
        }) {
    struct stat about {};  // the sandbox answers no such question
    if (fstat(STDIN_FILENO, &about) == 0 && S_ISREG(about.st_mode)) file_size_ = about.st_size;
  }

  int Run() {
    Status status = Open();
    if (status.ok()) status = Loop();
    if (gone_) return kExitDone;
    if (status.ok()) {
      (void)Send({.type = MessageType::kEnd}, {});
      return kExitDone;
    }
    const auto* text = reinterpret_cast<const uint8_t*>(status.message().data());
    const std::array<std::span<const uint8_t>, 1> parts = {{{text, status.message().size()}}};
    (void)Send({.type = MessageType::kError}, parts);
    return status.code() == Code::kUnavailable ? kExitAgain : kExitRefused;
  }

 private:
  struct Track {
    int index = -1;
    Owned<AVCodecContext> codec;
    AVRational time_base{1, 1};
    bool wait_for_key = false;
  };

  // --- input

  static int ReadInput(void* self, uint8_t* to, int size) {
    auto* decoder = static_cast<Decoder*>(self);
    while (true) {
      pollfd waiting{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      int ready = poll(&waiting, 1, 0);
      if (ready == 0) {
        ready = poll(&waiting, 1, 200);
        decoder->lag_.Wait(SteadyUs());
      }
      if (!decoder->Alive()) return AVERROR_EXIT;
      if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
      const ssize_t n = read(STDIN_FILENO, to, static_cast<size_t>(size));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return AVERROR(errno);
      return n == 0 ? AVERROR_EOF : static_cast<int>(n);
    }
  }

  static int64_t SeekInput(void* self, int64_t offset, int whence) {
    if (whence == AVSEEK_SIZE) return static_cast<Decoder*>(self)->file_size_;
    const off_t at = lseek(STDIN_FILENO, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
  }

  Status Open() {
    const bool file = file_size_ >= 0;
    auto* buffer = static_cast<uint8_t*>(av_malloc(kIoBuffer));
    io_.reset(avio_alloc_context(buffer, kIoBuffer, 0, this, &ReadInput, nullptr,
                                 file ? &SeekInput : nullptr));
    AVFormatContext* format = avformat_alloc_context();
    format->pb = io_.get();
    format->probesize = 1 << 20;
    // A live stream is read no faster than it comes: looking longer is starting later.
    format->max_analyze_duration = AV_TIME_BASE;
    format->fps_probe_size = 2;
    format->max_streams = 8;
    format->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_GENPTS;
    AVDictionary* settings = nullptr;
    av_dict_set(&settings, "format_whitelist", kFormats, 0);
    av_dict_set(&settings, "codec_whitelist", kCodecs, 0);
    av_dict_set(&settings, "protocol_whitelist", "", 0);
    int error = avformat_open_input(&format, nullptr, nullptr, &settings);
    av_dict_free(&settings);
    if (error < 0) return Unreadable(error);
    format_.reset(format);
    for (unsigned i = 0; i < format->nb_streams; ++i) {
      const AVMediaType type = format->streams[i]->codecpar->codec_type;
      if (type != AVMEDIA_TYPE_AUDIO && (type != AVMEDIA_TYPE_VIDEO || !options_.picture)) {
        format->streams[i]->discard = AVDISCARD_ALL;
      }
    }
    if (error = avformat_find_stream_info(format, nullptr); error < 0) return Unreadable(error);
    OpenTrack(AVMEDIA_TYPE_AUDIO, &audio_);
    if (options_.picture) {
      OpenTrack(AVMEDIA_TYPE_VIDEO, &video_);
      if (video_.codec != nullptr) references_ = ReferencesOf(*video_.codec);
    }
    if (audio_.index < 0 && video_.index < 0) {
      return InvalidArgument("no sound and no picture of a kind that is decoded here");
    }
    for (unsigned i = 0; i < format->nb_streams; ++i) {
      const int index = static_cast<int>(i);
      if (index != audio_.index && index != video_.index) {
        format->streams[i]->discard = AVDISCARD_ALL;
      }
    }
    if (format->start_time != AV_NOPTS_VALUE) timeline_.SetStart(format->start_time);
    if (file && options_.from_us > 0) {
      const int64_t start = format->start_time == AV_NOPTS_VALUE ? 0 : format->start_time;
      // Five seconds early: seeking is rough, and a picture needs a key picture before it. Where it
      // fails the recording is decoded from its beginning and left out up to there.
      const int64_t to = start + std::max<int64_t>(options_.from_us - 5 * AV_TIME_BASE, 0);
      (void)avformat_seek_file(format, -1, INT64_MIN, to, to, 0);
    }
    return SendStream();
  }

  Status Unreadable(int error) const {
    if (gone_) return {};
    return Status(
        error == AVERROR_EOF && options_.live ? Code::kUnavailable : Code::kInvalidArgument,
        "not a recording or stream that is read here: " + LibavError(error));
  }

  void OpenTrack(AVMediaType type, Track* track) {
    const AVCodec* codec = nullptr;
    const int index = av_find_best_stream(format_.get(), type, -1, -1, &codec, 0);
    if (index < 0 || codec == nullptr) return;
    const AVStream* stream = format_->streams[index];
    Owned<AVCodecContext> context(avcodec_alloc_context3(codec));
    if (context == nullptr || avcodec_parameters_to_context(context.get(), stream->codecpar) < 0) {
      return;
    }
    context->thread_count = 1;
    context->max_pixels = kMostPixels;
    context->pkt_timebase = stream->time_base;
    AVDictionary* settings = nullptr;
    av_dict_set(&settings, "codec_whitelist", kCodecs, 0);
    const int error = avcodec_open2(context.get(), codec, &settings);
    av_dict_free(&settings);
    if (error < 0) return;
    track->index = index;
    track->codec = std::move(context);
    track->time_base = stream->time_base;
  }

  // --- the walk through the packets

  Status Loop() {
    const Owned<AVPacket> packet(av_packet_alloc());
    frame_.reset(av_frame_alloc());
    for (int errors = 0; errors < kMostErrors;) {
      const int error = av_read_frame(format_.get(), packet.get());
      if (gone_) return {};
      if (error == AVERROR_EOF || (error < 0 && avio_feof(io_.get()))) break;
      if (error < 0) {
        ++errors;
        continue;
      }
      errors = 0;
      Status status = Take(packet.get());
      av_packet_unref(packet.get());
      HEED_RETURN_IF_ERROR(status);
      if (!Alive()) return {};
    }
    return FlushDecoders();
  }

  Status Take(AVPacket* packet) {
    Track* track = packet->stream_index == audio_.index   ? &audio_
                   : packet->stream_index == video_.index ? &video_
                                                          : nullptr;
    if (track == nullptr || packet->size > kLargestPacket) return {};
    const int64_t stamp = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
    if (stamp != AV_NOPTS_VALUE) {
      const int64_t dts_us = av_rescale_q(stamp, track->time_base, AV_TIME_BASE_Q);
      constexpr int64_t kFar = int64_t{1} << 50;
      if (dts_us > kFar || dts_us < -kFar) return {};
      // What is not sent yet belongs to the time line as it was.
      Timeline next = timeline_;
      switch (next.OnPacket(track == &audio_ ? 0 : 1, dts_us)) {
        case Timeline::Verdict::kDrop: timeline_ = next; return {};
        case Timeline::Verdict::kJump:
          HEED_RETURN_IF_ERROR(FlushDecoders());
          pick_.Restart();
          lag_.Restart();
          break;
        case Timeline::Verdict::kKeep: break;
      }
      timeline_ = next;
      MeasureLag(timeline_.ToBase(dts_us));
    }
    if (track == &video_) {
      if (mode_ == PictureMode::kNone) return {};
      const bool keys_only = video_.wait_for_key || mode_ == PictureMode::kKeyPictures;
      if (keys_only && (packet->flags & AV_PKT_FLAG_KEY) == 0) return {};
      video_.wait_for_key = false;
      video_.codec->skip_frame = MayShow(*packet) ? discard_ : std::max(discard_, AVDISCARD_NONREF);
    }
    if (avcodec_send_packet(track->codec.get(), packet) < 0) return {};  // damaged: the next one
    HEED_RETURN_IF_ERROR(Receive(track));
    // The codec would keep a key picture back until others came.
    return track == &video_ && mode_ == PictureMode::kKeyPictures ? Flush(track) : Status();
  }

  // Most pictures are not; those that no other refers to, half of usual streams, need not be decoded then.
  bool MayShow(const AVPacket& packet) {
    if (packet.pts == AV_NOPTS_VALUE) return true;
    const int64_t pts_us =
        timeline_.ToBase(av_rescale_q(packet.pts, video_.time_base, AV_TIME_BASE_Q));
    const bool referred_to = references_.Has({packet.data, static_cast<size_t>(packet.size)});
    return pick_.MayWant(pts_us, referred_to, mode_);
  }

  Status FlushDecoders() {
    for (Track* track : {&audio_, &video_}) {
      if (track->codec != nullptr) HEED_RETURN_IF_ERROR(Flush(track));
    }
    return sound_.Drain();
  }

  Status Flush(Track* track) {
    Status status;
    if (avcodec_send_packet(track->codec.get(), nullptr) >= 0) status = Receive(track);
    avcodec_flush_buffers(track->codec.get());
    return status;
  }

  Status Receive(Track* track) {
    while (avcodec_receive_frame(track->codec.get(), frame_.get()) >= 0) {
      const int64_t stamp = frame_->best_effort_timestamp;
      Status status;
      if (stamp != AV_NOPTS_VALUE) {
        const int64_t pts_us =
            timeline_.ToBase(av_rescale_q(stamp, track->time_base, AV_TIME_BASE_Q));
        if (pts_us >= options_.from_us) {
          status = track == &audio_ ? sound_.Take(*frame_, pts_us) : ShowPicture(pts_us);
        }
      }
      av_frame_unref(frame_.get());
      HEED_RETURN_IF_ERROR(status);
      if (gone_) return {};
    }
    return {};
  }

  Status ShowPicture(int64_t pts_us) {
    if (!pick_.Wants(pts_us, mode_)) return {};
    const Result<VideoFrame> scaled = picture_.Scale(*frame_);
    if (!scaled.ok()) return {};  // this one; the next may be whole
    const VideoFrame& picture = scaled.value();
    const std::array<uint16_t, 2> size = {static_cast<uint16_t>(picture.width),
                                          static_cast<uint16_t>(picture.height)};
    const std::array<std::span<const uint8_t>, 4> parts = {
        {{reinterpret_cast<const uint8_t*>(size.data()), sizeof(size)},
         picture.y,
         picture.u,
         picture.v}};
    return Send({.type = MessageType::kVideo, .pts_us = pts_us}, parts);
  }

  Status SendSound(int64_t pts_us, std::span<const float> mono, std::span<const float> stereo) {
    const std::array<std::span<const uint8_t>, 2> parts = {
        {{reinterpret_cast<const uint8_t*>(mono.data()), mono.size_bytes()},
         {reinterpret_cast<const uint8_t*>(stereo.data()), stereo.size_bytes()}}};
    return Send({.type = MessageType::kAudio, .pts_us = pts_us}, parts);
  }

  // --- lag

  void MeasureLag(int64_t dts_us) {
    if (!options_.live) return;
    const int64_t now = SteadyUs();
    lag_.Take(dts_us, now);
    if (video_.codec == nullptr) return;
    const PictureMode wanted = ladder_.Update(lag_.own_us(), now);
    if (wanted == mode_) return;
    const bool decodes_less = wanted >= PictureMode::kReferences;
    if (mode_ >= PictureMode::kKeyPictures) {
      avcodec_flush_buffers(video_.codec.get());
      video_.wait_for_key = true;
    }
    mode_ = wanted;
    discard_ = wanted == PictureMode::kKeyPictures ? AVDISCARD_NONKEY
               : decodes_less                      ? AVDISCARD_NONREF
                                                   : AVDISCARD_DEFAULT;
    video_.codec->skip_loop_filter = decodes_less ? AVDISCARD_ALL : AVDISCARD_DEFAULT;
  }

  // --- output

  Status SendStream() {
    StreamInfo info;
    const auto name = [](const Track& track, std::array<char, 16>* to) {
      if (track.codec != nullptr) {
        std::strncpy(to->data(), avcodec_get_name(track.codec->codec_id), to->size() - 1);
      }
    };
    name(video_, &info.video_codec);
    name(audio_, &info.audio_codec);
    if (video_.codec != nullptr) {
      info.width = static_cast<uint16_t>(std::clamp(video_.codec->width, 0, 65535));
      info.height = static_cast<uint16_t>(std::clamp(video_.codec->height, 0, 65535));
    }
    const std::array<std::span<const uint8_t>, 1> parts = {
        {{reinterpret_cast<const uint8_t*>(&info), sizeof(info)}}};
    return Send({.type = MessageType::kStream}, parts);
  }

  // Says so when nothing else was said for a while. False when nobody listens any more.
  bool Alive() {
    if (!gone_ && SteadyUs() - sent_us_ > kAliveUs) (void)Send({.type = MessageType::kAlive}, {});
    return !gone_;
  }

  Status Send(MessageHeader header, std::span<const std::span<const uint8_t>> parts) {
    header.epoch = timeline_.epoch();
    header.mode = mode_;
    header.lag_us = lag_.lag_us();
    Status status = writer_.Write(header, parts);
    gone_ = gone_ || !status.ok();
    sent_us_ = SteadyUs();
    return status;
  }

  const DecodeOptions options_;
  int64_t file_size_ = -1;  // of the input, where it is a file
  MessageWriter writer_{STDOUT_FILENO};
  bool gone_ = false;  // the reader
  int64_t sent_us_ = SteadyUs();

  Owned<AVIOContext> io_;
  Owned<AVFormatContext> format_;
  Owned<AVFrame> frame_;
  Track audio_, video_;
  Timeline timeline_;
  SoundOut sound_;
  References references_;
  PicturePick pick_;
  PictureOut picture_;

  LagMeter lag_{SteadyUs()};
  OverloadLadder ladder_;
  PictureMode mode_ = PictureMode::kFull;
  AVDiscard discard_ = AVDISCARD_DEFAULT;  // of the mode
};

}  // namespace

int Decode(const DecodeOptions& options) {
  av_log_set_level(AV_LOG_QUIET);
  // MPEG-TS asks iconv for its tables, which are files: before the sandbox, once.
  // NOLINTNEXTLINE(performance-no-int-to-ptr): iconv's sign of failure
  if (iconv_t tables = iconv_open("UTF-8", "ISO-8859-1"); tables != iconv_t(-1)) {
    iconv_close(tables);
  }
  Decoder decoder(options);
  Status status = LimitProcess();
  if (status.ok()) status = EnterDecodeSandbox();
  if (!status.ok()) {
    std::fprintf(stderr, "decode: %s\n", status.message().c_str());
    return kExitRefused;
  }
  return decoder.Run();
}

}  // namespace heed::media
