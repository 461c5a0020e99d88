// The canonical live-commerce event, LCE v1: 54 types, and domain packs' `x.*` types passed through.
//
// One struct a type, members named as in the JSON schema. A required member is a plain value, an
// optional one a std::optional. What a producer sent beyond the schema is kept in `extra`.
// Validation and both codecs are generated from the field lists in fields.h; docs/formats/event.md
// describes the bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace heed::event {

// One JSON value, as its minified UTF-8 text; never empty once decoded.
struct RawJson {
  std::string text;
  bool operator==(const RawJson&) const = default;
};

// Members of an object that the schema does not name: one JSON object as text, or empty for none.
struct Extra {
  std::string text;
  bool operator==(const Extra&) const = default;
};

enum class EndReason : uint8_t { kHost, kPlatform, kError, kTimeout };
enum class DeletedBy : uint8_t { kViewer, kModerator, kPlatform };
enum class FanclubEvent : uint8_t { kJoin, kLevelUp };
enum class ExplainedBy : uint8_t { kHost, kOperator, kEngine };
enum class Surface : uint8_t { kCard, kBag, kPin, kAd, kReplay };
enum class RefundStage : uint8_t { kRequest, kDone };
enum class LotteryTask : uint8_t { kNone, kComment, kFollow, kWatch, kFanclub };
enum class Charge : uint8_t { kCpm, kCpc, kOcpm };
enum class GuideMode : uint8_t { kShadow, kSuggest, kAuto };
enum class Verdict : uint8_t { kAccept, kEdit, kReject, kSnooze, kExpire };
enum class ExecStatus : uint8_t { kOk, kFailed, kRolledBack };
enum class Severity : uint8_t { kInfo, kWarn, kBlock };
enum class HitSource : uint8_t { kHost, kOperator, kViewer, kEngine, kAd };
enum class AttentionScope : uint8_t { kRoom, kProduct, kSegment, kSlot };

struct OrderLine {
  std::string product_id;
  std::optional<std::string> sku_id;
  int64_t qty = 0;
  int64_t amount_cents = 0;
  Extra extra;
  bool operator==(const OrderLine&) const = default;
};

struct AdSlot {
  std::string slot_id;
  std::optional<double> attention;
  std::optional<std::string> format;
  Extra extra;
  bool operator==(const AdSlot&) const = default;
};

struct ScoredAction {
  std::string action;
  double prob = 0;
  std::optional<double> score;
  Extra extra;
  bool operator==(const ScoredAction&) const = default;
};

struct BlockedAction {
  std::string action;
  std::string rule;
  Extra extra;
  bool operator==(const BlockedAction&) const = default;
};

struct GuideReason {
  std::string feature;
  RawJson value;
  std::optional<RawJson> baseline;
  std::string text;
  Extra extra;
  bool operator==(const GuideReason&) const = default;
};

struct ExpectedEffect {
  std::optional<std::string> metric;
  std::optional<double> delta;
  std::optional<double> lo;
  std::optional<double> hi;
  std::optional<int64_t> horizon_s;
  Extra extra;
  bool operator==(const ExpectedEffect&) const = default;
};

struct StreamStart {  // stream.start
  std::string title;
  std::optional<std::string> category;
  std::optional<std::string> host_id;
  std::optional<std::string> stream_url;
  std::optional<int64_t> planned_end_ts;
  Extra extra;
  bool operator==(const StreamStart&) const = default;
};

struct StreamEnd {  // stream.end
  EndReason reason{};
  std::optional<int64_t> duration_ms;
  Extra extra;
  bool operator==(const StreamEnd&) const = default;
};

struct StreamQuality {  // stream.quality
  std::optional<int64_t> bitrate_kbps;
  std::optional<double> fps;
  std::optional<int64_t> rtt_ms;
  std::optional<double> drop_rate;
  Extra extra;
  bool operator==(const StreamQuality&) const = default;
};

struct RoomStats {  // room.stats
  int64_t online = 0;
  std::optional<int64_t> total_pv;
  std::optional<int64_t> total_uv;
  std::optional<int64_t> total_likes;
  std::optional<int64_t> popularity;
  std::optional<bool> estimated;
  Extra extra;
  bool operator==(const RoomStats&) const = default;
};

struct RoomImpression {  // room.impression
  std::string channel;
  std::optional<int64_t> position;
  std::optional<bool> paid;
  std::optional<std::string> campaign_id;
  std::optional<std::string> request_id;
  Extra extra;
  bool operator==(const RoomImpression&) const = default;
};

struct ViewerEnter {  // viewer.enter
  std::string channel;
  std::optional<bool> paid;
  std::optional<std::string> campaign_id;
  std::optional<std::string> request_id;
  Extra extra;
  bool operator==(const ViewerEnter&) const = default;
};

struct ViewerLeave {  // viewer.leave
  int64_t watch_ms = 0;
  std::optional<std::string> reason;
  Extra extra;
  bool operator==(const ViewerLeave&) const = default;
};

struct ViewerHeartbeat {  // viewer.heartbeat
  int64_t watch_ms = 0;
  std::optional<bool> foreground;
  std::optional<bool> muted;
  Extra extra;
  bool operator==(const ViewerHeartbeat&) const = default;
};

struct ViewerDislike {  // viewer.dislike
  std::optional<std::string> reason;
  Extra extra;
  bool operator==(const ViewerDislike&) const = default;
};

struct CommentPost {  // comment.post
  std::string text;
  std::optional<std::string> lang;
  std::optional<std::string> reply_to;
  std::optional<bool> is_question;
  std::optional<std::string> intent;
  Extra extra;
  bool operator==(const CommentPost&) const = default;
};

struct CommentDelete {  // comment.delete
  std::string comment_id;
  std::optional<DeletedBy> by;
  std::optional<std::string> rule;
  Extra extra;
  bool operator==(const CommentDelete&) const = default;
};

struct CommentPin {  // comment.pin
  std::string text;
  std::optional<std::string> comment_id;
  Extra extra;
  bool operator==(const CommentPin&) const = default;
};

struct Like {  // like
  int64_t count = 0;
  std::optional<int64_t> total;
  Extra extra;
  bool operator==(const Like&) const = default;
};

struct Share {  // share
  std::optional<std::string> channel;
  Extra extra;
  bool operator==(const Share&) const = default;
};

struct Follow {  // follow
  bool on = false;
  Extra extra;
  bool operator==(const Follow&) const = default;
};

struct Fanclub {  // fanclub
  FanclubEvent event{};
  std::optional<int64_t> level;
  Extra extra;
  bool operator==(const Fanclub&) const = default;
};

struct Gift {  // gift
  std::string gift_id;
  std::optional<std::string> name;
  int64_t count = 0;
  int64_t value_cents = 0;
  std::optional<bool> streak_end;
  Extra extra;
  bool operator==(const Gift&) const = default;
};

struct ProductBind {  // product.bind
  std::string product_id;
  std::optional<std::string> sku_id;
  std::optional<std::string> title;
  std::optional<int64_t> price_cents;
  std::optional<int64_t> list_price_cents;
  std::optional<int64_t> stock;
  std::optional<double> margin_rate;
  std::optional<std::string> category;
  std::optional<bool> on;
  Extra extra;
  bool operator==(const ProductBind&) const = default;
};

struct ProductExplainStart {  // product.explain.start
  std::string product_id;
  std::optional<ExplainedBy> by;
  Extra extra;
  bool operator==(const ProductExplainStart&) const = default;
};

struct ProductExplainEnd {  // product.explain.end
  std::string product_id;
  std::optional<int64_t> duration_ms;
  Extra extra;
  bool operator==(const ProductExplainEnd&) const = default;
};

struct ProductPin {  // product.pin
  std::string product_id;
  bool on = false;
  Extra extra;
  bool operator==(const ProductPin&) const = default;
};

struct ProductStock {  // product.stock
  std::string product_id;
  std::optional<std::string> sku_id;
  int64_t stock = 0;
  Extra extra;
  bool operator==(const ProductStock&) const = default;
};

struct ProductImpression {  // product.impression
  std::string product_id;
  Surface surface{};
  Extra extra;
  bool operator==(const ProductImpression&) const = default;
};

struct ProductClick {  // product.click
  std::string product_id;
  Surface surface{};
  Extra extra;
  bool operator==(const ProductClick&) const = default;
};

struct CartAdd {  // cart.add
  std::string product_id;
  std::optional<std::string> sku_id;
  int64_t qty = 0;
  Extra extra;
  bool operator==(const CartAdd&) const = default;
};

struct OrderCreate {  // order.create
  std::string order_id;
  std::vector<OrderLine> lines;
  std::optional<std::string> coupon_id;
  std::optional<std::string> campaign_id;
  Extra extra;
  bool operator==(const OrderCreate&) const = default;
};

struct OrderPay {  // order.pay
  std::string order_id;
  int64_t amount_cents = 0;
  std::optional<std::string> currency;
  std::optional<std::vector<OrderLine>> lines;
  std::optional<std::string> campaign_id;
  Extra extra;
  bool operator==(const OrderPay&) const = default;
};

struct OrderCancel {  // order.cancel
  std::string order_id;
  std::optional<std::string> reason;
  Extra extra;
  bool operator==(const OrderCancel&) const = default;
};

struct OrderRefund {  // order.refund
  std::string order_id;
  int64_t amount_cents = 0;
  std::optional<RefundStage> stage;
  std::optional<std::string> reason;
  Extra extra;
  bool operator==(const OrderRefund&) const = default;
};

struct CouponIssue {  // coupon.issue
  std::string coupon_id;
  int64_t qty = 0;
  std::optional<int64_t> discount_cents;
  std::optional<int64_t> threshold_cents;
  std::optional<int64_t> expires_ts;
  Extra extra;
  bool operator==(const CouponIssue&) const = default;
};

struct CouponClaim {  // coupon.claim
  std::string coupon_id;
  Extra extra;
  bool operator==(const CouponClaim&) const = default;
};

struct CouponRedeem {  // coupon.redeem
  std::string coupon_id;
  std::string order_id;
  std::optional<int64_t> discount_cents;
  Extra extra;
  bool operator==(const CouponRedeem&) const = default;
};

struct LotteryStart {  // lottery.start
  std::string lottery_id;
  std::string prize;
  std::optional<int64_t> prize_value_cents;
  int64_t winners = 0;
  int64_t draw_ts = 0;
  std::optional<LotteryTask> task;
  std::string rules_url;
  std::string seed_commit;
  Extra extra;
  bool operator==(const LotteryStart&) const = default;
};

struct LotteryJoin {  // lottery.join
  std::string lottery_id;
  Extra extra;
  bool operator==(const LotteryJoin&) const = default;
};

struct LotteryDraw {  // lottery.draw
  std::string lottery_id;
  std::vector<std::string> winner_ids;
  std::string seed;
  int64_t entrants = 0;
  Extra extra;
  bool operator==(const LotteryDraw&) const = default;
};

struct FlashStart {  // flash.start
  std::string flash_id;
  std::string product_id;
  int64_t price_cents = 0;
  int64_t qty = 0;
  int64_t end_ts = 0;
  Extra extra;
  bool operator==(const FlashStart&) const = default;
};

struct FlashEnd {  // flash.end
  std::string flash_id;
  int64_t sold = 0;
  Extra extra;
  bool operator==(const FlashEnd&) const = default;
};

struct PollStart {  // poll.start
  std::string poll_id;
  std::string question;
  std::vector<std::string> options;
  Extra extra;
  bool operator==(const PollStart&) const = default;
};

struct PollVote {  // poll.vote
  std::string poll_id;
  int64_t option = 0;
  Extra extra;
  bool operator==(const PollVote&) const = default;
};

struct AuctionBid {  // auction.bid
  std::string lot_id;
  int64_t amount_cents = 0;
  Extra extra;
  bool operator==(const AuctionBid&) const = default;
};

struct HostSpeech {  // host.speech
  std::string text;
  int64_t dur_ms = 0;
  std::optional<double> asr_conf;
  Extra extra;
  bool operator==(const HostSpeech&) const = default;
};

struct HostScene {  // host.scene
  std::string scene;
  Extra extra;
  bool operator==(const HostScene&) const = default;
};

struct AdRequest {  // ad.request
  std::string request_id;
  std::vector<AdSlot> slots;
  Extra extra;
  bool operator==(const AdRequest&) const = default;
};

struct AdImpression {  // ad.impression
  std::string request_id;
  std::string slot_id;
  std::string campaign_id;
  std::string creative_id;
  int64_t price_micros = 0;
  std::optional<Charge> charge;
  std::optional<double> p_ctr;
  std::optional<double> p_cvr;
  std::optional<double> attention;
  double propensity = 0;
  Extra extra;
  bool operator==(const AdImpression&) const = default;
};

struct AdClick {  // ad.click
  std::string request_id;
  std::string campaign_id;
  Extra extra;
  bool operator==(const AdClick&) const = default;
};

struct AdConversion {  // ad.conversion
  std::string request_id;
  std::string campaign_id;
  std::optional<std::string> order_id;
  std::optional<int64_t> value_cents;
  Extra extra;
  bool operator==(const AdConversion&) const = default;
};

struct AdClose {  // ad.close
  std::string request_id;
  std::string campaign_id;
  std::optional<int64_t> ms_after_show;
  Extra extra;
  bool operator==(const AdClose&) const = default;
};

struct GuideSuggest {  // guide.suggest
  std::string decision_id;
  std::string policy;
  std::string policy_version;
  std::string action;
  std::optional<RawJson> params;
  double prob = 0;
  std::vector<ScoredAction> candidates;
  std::optional<std::vector<BlockedAction>> blocked;
  RawJson features;
  std::vector<GuideReason> reasons;
  std::optional<ExpectedEffect> expected;
  std::optional<GuideMode> mode;
  int64_t expires_ts = 0;
  Extra extra;
  bool operator==(const GuideSuggest&) const = default;
};

struct GuideAck {  // guide.ack
  std::string decision_id;
  Verdict verdict{};
  std::optional<std::string> by;
  std::optional<std::string> reason_code;
  std::optional<RawJson> edited_params;
  Extra extra;
  bool operator==(const GuideAck&) const = default;
};

struct GuideExec {  // guide.exec
  std::string decision_id;
  ExecStatus status{};
  std::optional<std::string> channel;
  std::optional<std::string> error;
  Extra extra;
  bool operator==(const GuideExec&) const = default;
};

struct GuideOutcome {  // guide.outcome
  std::string decision_id;
  int64_t window_s = 0;
  double reward = 0;
  std::optional<RawJson> parts;
  std::optional<bool> matured;
  Extra extra;
  bool operator==(const GuideOutcome&) const = default;
};

struct ComplianceHit {  // compliance.hit
  std::string rule;
  Severity severity{};
  std::optional<std::string> text;
  std::optional<HitSource> source;
  std::optional<std::string> pack_version;
  Extra extra;
  bool operator==(const ComplianceHit&) const = default;
};

struct PlatformViolation {  // platform.violation
  std::string code;
  std::optional<std::string> detail;
  std::optional<std::string> penalty;
  Extra extra;
  bool operator==(const PlatformViolation&) const = default;
};

struct AttentionSample {  // attention.sample
  double a = 0;
  std::optional<double> lo;
  std::optional<double> hi;
  std::optional<int64_t> window_s;
  std::optional<double> coverage;
  std::optional<RawJson> components;
  std::optional<std::string> model;
  std::optional<AttentionScope> scope;
  std::optional<std::string> scope_id;
  Extra extra;
  bool operator==(const AttentionSample&) const = default;
};

// A domain pack's event, `x.<pack>.<name>`: its data is carried untouched.
struct Extension {
  std::string type;  // "x.appointment"
  RawJson data;      // a JSON object
  bool operator==(const Extension&) const = default;
};

// In the order of the schema. The index is the type code on disk (Extension's is 255): a new type
// goes last but one, and no other moves.
using AnyData =
    std::variant<StreamStart, StreamEnd, StreamQuality, RoomStats, RoomImpression, ViewerEnter,
                 ViewerLeave, ViewerHeartbeat, ViewerDislike, CommentPost, CommentDelete,
                 CommentPin, Like, Share, Follow, Fanclub, Gift, ProductBind, ProductExplainStart,
                 ProductExplainEnd, ProductPin, ProductStock, ProductImpression, ProductClick,
                 CartAdd, OrderCreate, OrderPay, OrderCancel, OrderRefund, CouponIssue, CouponClaim,
                 CouponRedeem, LotteryStart, LotteryJoin, LotteryDraw, FlashStart, FlashEnd,
                 PollStart, PollVote, AuctionBid, HostSpeech, HostScene, AdRequest, AdImpression,
                 AdClick, AdConversion, AdClose, GuideSuggest, GuideAck, GuideExec, GuideOutcome,
                 ComplianceHit, PlatformViolation, AttentionSample, Extension>;

// The variant, whose copies are made in event.cc: to compile those of 55 alternatives takes 7 s (13 s with
// sanitizers) and 9 MB wherever an event is copied.
struct Data : AnyData {
  Data();
  Data(const Data& other);
  Data(Data&& other) noexcept;
  Data& operator=(const Data& other);
  Data& operator=(Data&& other) noexcept;
  ~Data();
  template <typename T>  // implicit, as std::variant's is. NOLINTNEXTLINE(bugprone-*,google-*)
  requires(!std::is_base_of_v<AnyData, std::remove_cvref_t<T>>) Data(T&& value)
      : AnyData(std::forward<T>(value)) {}
  template <typename T>
  requires(!std::is_base_of_v<AnyData, std::remove_cvref_t<T>>) Data& operator=(T&& value) {
    return *this = Data(std::forward<T>(value));
  }
  friend bool operator==(const Data& a, const Data& b);
};

enum class ActorKind : uint8_t { kViewer, kHost, kOperator, kEngine, kPlatform, kAdvertiser };

struct Source {
  std::string platform;
  std::string adapter;
  std::optional<std::string> raw_type;
  std::optional<std::string> raw_id;
  Extra extra;
  bool operator==(const Source&) const = default;
};

struct Actor {
  std::string id;  // a keyed hash, never a raw platform id or a nickname
  ActorKind kind{};
  std::optional<bool> follower;
  std::optional<bool> new_viewer;
  std::optional<std::string> segment;
  std::optional<bool> personalize;  // false: the viewer switched personalisation off
  Extra extra;
  bool operator==(const Actor&) const = default;
};

struct Flags {
  std::optional<bool> late;
  std::optional<bool> estimated;
  std::optional<bool> test;
  std::optional<bool> backfill;
  Extra extra;
  bool operator==(const Flags&) const = default;
};

struct Event {
  std::string id;                  // unique per tenant: the key of "exactly once"
  int64_t ts = 0;                  // event time, ms since the epoch, UTC
  std::optional<int64_t> recv_ts;  // when the adapter took it in
  std::optional<int64_t> seq;      // per adapter connection; not the log's sequence
  std::string tenant;
  std::string room;
  std::string session;  // one broadcast
  Source src;
  std::optional<Actor> actor;
  std::optional<Flags> flags;
  Data data;
  bool operator==(const Event&) const = default;
};

}  // namespace heed::event
