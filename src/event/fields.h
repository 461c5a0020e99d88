// The members of every struct of event.h: names, places and rules, in the order of the JSON schema.
//
// This is the one list that the JSON reader and writer and the binary codec are made from
// (docs/spec/events.schema.json says the same; the tests compare). A new optional member is added
// here and in event.h; docs/formats/event.md says what that means for stored bytes.
#pragma once

#include <array>
#include <string_view>

#include "event/event.h"
#include "event/rules.h"

namespace heed::event {

using std::literals::operator""sv;

template <>
inline constexpr std::array kNames<EndReason>{"host"sv, "platform"sv, "error"sv, "timeout"sv};
template <>
inline constexpr std::array kNames<DeletedBy>{"viewer"sv, "moderator"sv, "platform"sv};
template <>
inline constexpr std::array kNames<FanclubEvent>{"join"sv, "level_up"sv};
template <>
inline constexpr std::array kNames<ExplainedBy>{"host"sv, "operator"sv, "engine"sv};
template <>
inline constexpr std::array kNames<Surface>{"card"sv, "bag"sv, "pin"sv, "ad"sv, "replay"sv};
template <>
inline constexpr std::array kNames<RefundStage>{"request"sv, "done"sv};
template <>
inline constexpr std::array kNames<LotteryTask>{"none"sv, "comment"sv, "follow"sv, "watch"sv,
                                                "fanclub"sv};
template <>
inline constexpr std::array kNames<Charge>{"cpm"sv, "cpc"sv, "ocpm"sv};
template <>
inline constexpr std::array kNames<GuideMode>{"shadow"sv, "suggest"sv, "auto"sv};
template <>
inline constexpr std::array kNames<Verdict>{"accept"sv, "edit"sv, "reject"sv, "snooze"sv,
                                            "expire"sv};
template <>
inline constexpr std::array kNames<ExecStatus>{"ok"sv, "failed"sv, "rolled_back"sv};
template <>
inline constexpr std::array kNames<Severity>{"info"sv, "warn"sv, "block"sv};
template <>
inline constexpr std::array kNames<HitSource>{"host"sv, "operator"sv, "viewer"sv, "engine"sv,
                                              "ad"sv};
template <>
inline constexpr std::array kNames<AttentionScope>{"room"sv, "product"sv, "segment"sv, "slot"sv};
template <>
inline constexpr std::array kNames<ActorKind>{"viewer"sv, "host"sv,     "operator"sv,
                                              "engine"sv, "platform"sv, "advertiser"sv};

template <>
inline constexpr Layout kLayout<OrderLine>{
    "order line",
    Field{"product_id", &OrderLine::product_id, kId},
    Field{"sku_id", &OrderLine::sku_id, kId},
    Field{"qty", &OrderLine::qty, kPositive},
    Field{"amount_cents", &OrderLine::amount_cents, kCount},
};
template <>
inline constexpr Layout kLayout<AdSlot>{
    "ad slot",
    Field{"slot_id", &AdSlot::slot_id, kId},
    Field{"attention", &AdSlot::attention, kRate},
    Field{"format", &AdSlot::format, kText},
};
template <>
inline constexpr Layout kLayout<ScoredAction>{
    "candidate",
    Field{"action", &ScoredAction::action, kId},
    Field{"prob", &ScoredAction::prob, kRate},
    Field{"score", &ScoredAction::score, kNumber},
};
template <>
inline constexpr Layout kLayout<BlockedAction>{
    "blocked action",
    Field{"action", &BlockedAction::action, kId},
    Field{"rule", &BlockedAction::rule, kText},
};
template <>
inline constexpr Layout kLayout<GuideReason>{
    "reason",
    Field{"feature", &GuideReason::feature, kText},
    Field{"value", &GuideReason::value, kAnyJson},
    Field{"baseline", &GuideReason::baseline, kAnyJson},
    Field{"text", &GuideReason::text, kText},
};
template <>
inline constexpr Layout kLayout<ExpectedEffect>{
    "expected effect",
    Field{"metric", &ExpectedEffect::metric, kText},
    Field{"delta", &ExpectedEffect::delta, kNumber},
    Field{"lo", &ExpectedEffect::lo, kNumber},
    Field{"hi", &ExpectedEffect::hi, kNumber},
    Field{"horizon_s", &ExpectedEffect::horizon_s, kCount},
};
template <>
inline constexpr Layout kLayout<StreamStart>{
    "stream.start",
    Field{"title", &StreamStart::title, kText},
    Field{"category", &StreamStart::category, kText},
    Field{"host_id", &StreamStart::host_id, kId},
    Field{"stream_url", &StreamStart::stream_url, kText},
    Field{"planned_end_ts", &StreamStart::planned_end_ts, kTime},
};
template <>
inline constexpr Layout kLayout<StreamEnd>{
    "stream.end",
    Field{"reason", &StreamEnd::reason, kEnum},
    Field{"duration_ms", &StreamEnd::duration_ms, kCount},
};
template <>
inline constexpr Layout kLayout<StreamQuality>{
    "stream.quality",
    Field{"bitrate_kbps", &StreamQuality::bitrate_kbps, kCount},
    Field{"fps", &StreamQuality::fps, kNonNegative},
    Field{"rtt_ms", &StreamQuality::rtt_ms, kCount},
    Field{"drop_rate", &StreamQuality::drop_rate, kRate},
};
template <>
inline constexpr Layout kLayout<RoomStats>{
    "room.stats",
    Field{"online", &RoomStats::online, kCount},
    Field{"total_pv", &RoomStats::total_pv, kCount},
    Field{"total_uv", &RoomStats::total_uv, kCount},
    Field{"total_likes", &RoomStats::total_likes, kCount},
    Field{"popularity", &RoomStats::popularity, kCount},
    Field{"estimated", &RoomStats::estimated, kBool},
};
template <>
inline constexpr Layout kLayout<RoomImpression>{
    "room.impression",
    Field{"channel", &RoomImpression::channel, kText},
    Field{"position", &RoomImpression::position, kCount},
    Field{"paid", &RoomImpression::paid, kBool},
    Field{"campaign_id", &RoomImpression::campaign_id, kId},
    Field{"request_id", &RoomImpression::request_id, kId},
};
template <>
inline constexpr Layout kLayout<ViewerEnter>{
    "viewer.enter",
    Field{"channel", &ViewerEnter::channel, kText},
    Field{"paid", &ViewerEnter::paid, kBool},
    Field{"campaign_id", &ViewerEnter::campaign_id, kId},
    Field{"request_id", &ViewerEnter::request_id, kId},
};
template <>
inline constexpr Layout kLayout<ViewerLeave>{
    "viewer.leave",
    Field{"watch_ms", &ViewerLeave::watch_ms, kCount},
    Field{"reason", &ViewerLeave::reason, kText},
};
template <>
inline constexpr Layout kLayout<ViewerHeartbeat>{
    "viewer.heartbeat",
    Field{"watch_ms", &ViewerHeartbeat::watch_ms, kCount},
    Field{"foreground", &ViewerHeartbeat::foreground, kBool},
    Field{"muted", &ViewerHeartbeat::muted, kBool},
};
template <>
inline constexpr Layout kLayout<ViewerDislike>{
    "viewer.dislike",
    Field{"reason", &ViewerDislike::reason, kText},
};
template <>
inline constexpr Layout kLayout<CommentPost>{
    "comment.post",
    Field{"text", &CommentPost::text, kCommentText},
    Field{"lang", &CommentPost::lang, kText},
    Field{"reply_to", &CommentPost::reply_to, kId},
    Field{"is_question", &CommentPost::is_question, kBool},
    Field{"intent", &CommentPost::intent, kText},
};
template <>
inline constexpr Layout kLayout<CommentDelete>{
    "comment.delete",
    Field{"comment_id", &CommentDelete::comment_id, kId},
    Field{"by", &CommentDelete::by, kEnum},
    Field{"rule", &CommentDelete::rule, kText},
};
template <>
inline constexpr Layout kLayout<CommentPin>{
    "comment.pin",
    Field{"text", &CommentPin::text, kText},
    Field{"comment_id", &CommentPin::comment_id, kId},
};
template <>
inline constexpr Layout kLayout<Like>{
    "like",
    Field{"count", &Like::count, kPositive},
    Field{"total", &Like::total, kCount},
};
template <>
inline constexpr Layout kLayout<Share>{
    "share",
    Field{"channel", &Share::channel, kText},
};
template <>
inline constexpr Layout kLayout<Follow>{
    "follow",
    Field{"on", &Follow::on, kBool},
};
template <>
inline constexpr Layout kLayout<Fanclub>{
    "fanclub",
    Field{"event", &Fanclub::event, kEnum},
    Field{"level", &Fanclub::level, kCount},
};
template <>
inline constexpr Layout kLayout<Gift>{
    "gift",
    Field{"gift_id", &Gift::gift_id, kId},
    Field{"name", &Gift::name, kText},
    Field{"count", &Gift::count, kPositive},
    Field{"value_cents", &Gift::value_cents, kCount},
    Field{"streak_end", &Gift::streak_end, kBool},
};
template <>
inline constexpr Layout kLayout<ProductBind>{
    "product.bind",
    Field{"product_id", &ProductBind::product_id, kId},
    Field{"sku_id", &ProductBind::sku_id, kId},
    Field{"title", &ProductBind::title, kText},
    Field{"price_cents", &ProductBind::price_cents, kCount},
    Field{"list_price_cents", &ProductBind::list_price_cents, kCount},
    Field{"stock", &ProductBind::stock, kCount},
    Field{"margin_rate", &ProductBind::margin_rate, kNumber},
    Field{"category", &ProductBind::category, kText},
    Field{"on", &ProductBind::on, kBool},
};
template <>
inline constexpr Layout kLayout<ProductExplainStart>{
    "product.explain.start",
    Field{"product_id", &ProductExplainStart::product_id, kId},
    Field{"by", &ProductExplainStart::by, kEnum},
};
template <>
inline constexpr Layout kLayout<ProductExplainEnd>{
    "product.explain.end",
    Field{"product_id", &ProductExplainEnd::product_id, kId},
    Field{"duration_ms", &ProductExplainEnd::duration_ms, kCount},
};
template <>
inline constexpr Layout kLayout<ProductPin>{
    "product.pin",
    Field{"product_id", &ProductPin::product_id, kId},
    Field{"on", &ProductPin::on, kBool},
};
template <>
inline constexpr Layout kLayout<ProductStock>{
    "product.stock",
    Field{"product_id", &ProductStock::product_id, kId},
    Field{"sku_id", &ProductStock::sku_id, kId},
    Field{"stock", &ProductStock::stock, kCount},
};
template <>
inline constexpr Layout kLayout<ProductImpression>{
    "product.impression",
    Field{"product_id", &ProductImpression::product_id, kId},
    Field{"surface", &ProductImpression::surface, kEnum},
};
template <>
inline constexpr Layout kLayout<ProductClick>{
    "product.click",
    Field{"product_id", &ProductClick::product_id, kId},
    Field{"surface", &ProductClick::surface, kEnum},
};
template <>
inline constexpr Layout kLayout<CartAdd>{
    "cart.add",
    Field{"product_id", &CartAdd::product_id, kId},
    Field{"sku_id", &CartAdd::sku_id, kId},
    Field{"qty", &CartAdd::qty, kPositive},
};
template <>
inline constexpr Layout kLayout<OrderCreate>{
    "order.create",
    Field{"order_id", &OrderCreate::order_id, kId},
    Field{"lines", &OrderCreate::lines, ListOf(kNested, 1)},
    Field{"coupon_id", &OrderCreate::coupon_id, kId},
    Field{"campaign_id", &OrderCreate::campaign_id, kId},
};
template <>
inline constexpr Layout kLayout<OrderPay>{
    "order.pay",
    Field{"order_id", &OrderPay::order_id, kId},
    Field{"amount_cents", &OrderPay::amount_cents, kCount},
    Field{"currency", &OrderPay::currency, kCurrency},
    Field{"lines", &OrderPay::lines, ListOf(kNested)},
    Field{"campaign_id", &OrderPay::campaign_id, kId},
};
template <>
inline constexpr Layout kLayout<OrderCancel>{
    "order.cancel",
    Field{"order_id", &OrderCancel::order_id, kId},
    Field{"reason", &OrderCancel::reason, kText},
};
template <>
inline constexpr Layout kLayout<OrderRefund>{
    "order.refund",
    Field{"order_id", &OrderRefund::order_id, kId},
    Field{"amount_cents", &OrderRefund::amount_cents, kCount},
    Field{"stage", &OrderRefund::stage, kEnum},
    Field{"reason", &OrderRefund::reason, kText},
};
template <>
inline constexpr Layout kLayout<CouponIssue>{
    "coupon.issue",
    Field{"coupon_id", &CouponIssue::coupon_id, kId},
    Field{"qty", &CouponIssue::qty, kCount},
    Field{"discount_cents", &CouponIssue::discount_cents, kCount},
    Field{"threshold_cents", &CouponIssue::threshold_cents, kCount},
    Field{"expires_ts", &CouponIssue::expires_ts, kTime},
};
template <>
inline constexpr Layout kLayout<CouponClaim>{
    "coupon.claim",
    Field{"coupon_id", &CouponClaim::coupon_id, kId},
};
template <>
inline constexpr Layout kLayout<CouponRedeem>{
    "coupon.redeem",
    Field{"coupon_id", &CouponRedeem::coupon_id, kId},
    Field{"order_id", &CouponRedeem::order_id, kId},
    Field{"discount_cents", &CouponRedeem::discount_cents, kCount},
};
template <>
inline constexpr Layout kLayout<LotteryStart>{
    "lottery.start",
    Field{"lottery_id", &LotteryStart::lottery_id, kId},
    Field{"prize", &LotteryStart::prize, kText},
    Field{"prize_value_cents", &LotteryStart::prize_value_cents, kPrizeCents},
    Field{"winners", &LotteryStart::winners, kPositive},
    Field{"draw_ts", &LotteryStart::draw_ts, kTime},
    Field{"task", &LotteryStart::task, kEnum},
    Field{"rules_url", &LotteryStart::rules_url, kText},
    Field{"seed_commit", &LotteryStart::seed_commit, kText},
};
template <>
inline constexpr Layout kLayout<LotteryJoin>{
    "lottery.join",
    Field{"lottery_id", &LotteryJoin::lottery_id, kId},
};
template <>
inline constexpr Layout kLayout<LotteryDraw>{
    "lottery.draw",
    Field{"lottery_id", &LotteryDraw::lottery_id, kId},
    Field{"winner_ids", &LotteryDraw::winner_ids, ListOf(kId)},
    Field{"seed", &LotteryDraw::seed, kText},
    Field{"entrants", &LotteryDraw::entrants, kCount},
};
template <>
inline constexpr Layout kLayout<FlashStart>{
    "flash.start",
    Field{"flash_id", &FlashStart::flash_id, kId},
    Field{"product_id", &FlashStart::product_id, kId},
    Field{"price_cents", &FlashStart::price_cents, kCount},
    Field{"qty", &FlashStart::qty, kCount},
    Field{"end_ts", &FlashStart::end_ts, kTime},
};
template <>
inline constexpr Layout kLayout<FlashEnd>{
    "flash.end",
    Field{"flash_id", &FlashEnd::flash_id, kId},
    Field{"sold", &FlashEnd::sold, kCount},
};
template <>
inline constexpr Layout kLayout<PollStart>{
    "poll.start",
    Field{"poll_id", &PollStart::poll_id, kId},
    Field{"question", &PollStart::question, kText},
    Field{"options", &PollStart::options, ListOf(kText, 2)},
};
template <>
inline constexpr Layout kLayout<PollVote>{
    "poll.vote",
    Field{"poll_id", &PollVote::poll_id, kId},
    Field{"option", &PollVote::option, kCount},
};
template <>
inline constexpr Layout kLayout<AuctionBid>{
    "auction.bid",
    Field{"lot_id", &AuctionBid::lot_id, kId},
    Field{"amount_cents", &AuctionBid::amount_cents, kCount},
};
template <>
inline constexpr Layout kLayout<HostSpeech>{
    "host.speech",
    Field{"text", &HostSpeech::text, kText},
    Field{"dur_ms", &HostSpeech::dur_ms, kCount},
    Field{"asr_conf", &HostSpeech::asr_conf, kRate},
};
template <>
inline constexpr Layout kLayout<HostScene>{
    "host.scene",
    Field{"scene", &HostScene::scene, kText},
};
template <>
inline constexpr Layout kLayout<AdRequest>{
    "ad.request",
    Field{"request_id", &AdRequest::request_id, kId},
    Field{"slots", &AdRequest::slots, ListOf(kNested)},
};
template <>
inline constexpr Layout kLayout<AdImpression>{
    "ad.impression",
    Field{"request_id", &AdImpression::request_id, kId},
    Field{"slot_id", &AdImpression::slot_id, kId},
    Field{"campaign_id", &AdImpression::campaign_id, kId},
    Field{"creative_id", &AdImpression::creative_id, kId},
    Field{"price_micros", &AdImpression::price_micros, kCount},
    Field{"charge", &AdImpression::charge, kEnum},
    Field{"p_ctr", &AdImpression::p_ctr, kRate},
    Field{"p_cvr", &AdImpression::p_cvr, kRate},
    Field{"attention", &AdImpression::attention, kRate},
    Field{"propensity", &AdImpression::propensity, kProbability},
};
template <>
inline constexpr Layout kLayout<AdClick>{
    "ad.click",
    Field{"request_id", &AdClick::request_id, kId},
    Field{"campaign_id", &AdClick::campaign_id, kId},
};
template <>
inline constexpr Layout kLayout<AdConversion>{
    "ad.conversion",
    Field{"request_id", &AdConversion::request_id, kId},
    Field{"campaign_id", &AdConversion::campaign_id, kId},
    Field{"order_id", &AdConversion::order_id, kId},
    Field{"value_cents", &AdConversion::value_cents, kCount},
};
template <>
inline constexpr Layout kLayout<AdClose>{
    "ad.close",
    Field{"request_id", &AdClose::request_id, kId},
    Field{"campaign_id", &AdClose::campaign_id, kId},
    Field{"ms_after_show", &AdClose::ms_after_show, kCount},
};
template <>
inline constexpr Layout kLayout<GuideSuggest>{
    "guide.suggest",
    Field{"decision_id", &GuideSuggest::decision_id, kId},
    Field{"policy", &GuideSuggest::policy, kText},
    Field{"policy_version", &GuideSuggest::policy_version, kText},
    Field{"action", &GuideSuggest::action, kId},
    Field{"params", &GuideSuggest::params, kObject},
    Field{"prob", &GuideSuggest::prob, kProbability},
    Field{"candidates", &GuideSuggest::candidates, ListOf(kNested, 1)},
    Field{"blocked", &GuideSuggest::blocked, ListOf(kNested)},
    Field{"features", &GuideSuggest::features, kObject},
    Field{"reasons", &GuideSuggest::reasons, ListOf(kNested, 1)},
    Field{"expected", &GuideSuggest::expected, kNested},
    Field{"mode", &GuideSuggest::mode, kEnum},
    Field{"expires_ts", &GuideSuggest::expires_ts, kTime},
};
template <>
inline constexpr Layout kLayout<GuideAck>{
    "guide.ack",
    Field{"decision_id", &GuideAck::decision_id, kId},
    Field{"verdict", &GuideAck::verdict, kEnum},
    Field{"by", &GuideAck::by, kId},
    Field{"reason_code", &GuideAck::reason_code, kText},
    Field{"edited_params", &GuideAck::edited_params, kObject},
};
template <>
inline constexpr Layout kLayout<GuideExec>{
    "guide.exec",
    Field{"decision_id", &GuideExec::decision_id, kId},
    Field{"status", &GuideExec::status, kEnum},
    Field{"channel", &GuideExec::channel, kText},
    Field{"error", &GuideExec::error, kText},
};
template <>
inline constexpr Layout kLayout<GuideOutcome>{
    "guide.outcome",
    Field{"decision_id", &GuideOutcome::decision_id, kId},
    Field{"window_s", &GuideOutcome::window_s, kCount},
    Field{"reward", &GuideOutcome::reward, kNumber},
    Field{"parts", &GuideOutcome::parts, kObject},
    Field{"matured", &GuideOutcome::matured, kBool},
};
template <>
inline constexpr Layout kLayout<ComplianceHit>{
    "compliance.hit",
    Field{"rule", &ComplianceHit::rule, kText},
    Field{"severity", &ComplianceHit::severity, kEnum},
    Field{"text", &ComplianceHit::text, kText},
    Field{"source", &ComplianceHit::source, kEnum},
    Field{"pack_version", &ComplianceHit::pack_version, kText},
};
template <>
inline constexpr Layout kLayout<PlatformViolation>{
    "platform.violation",
    Field{"code", &PlatformViolation::code, kText},
    Field{"detail", &PlatformViolation::detail, kText},
    Field{"penalty", &PlatformViolation::penalty, kText},
};
template <>
inline constexpr Layout kLayout<AttentionSample>{
    "attention.sample",
    Field{"a", &AttentionSample::a, kRate},
    Field{"lo", &AttentionSample::lo, kRate},
    Field{"hi", &AttentionSample::hi, kRate},
    Field{"window_s", &AttentionSample::window_s, kCount},
    Field{"coverage", &AttentionSample::coverage, kRate},
    Field{"components", &AttentionSample::components, kObject},
    Field{"model", &AttentionSample::model, kText},
    Field{"scope", &AttentionSample::scope, kEnum},
    Field{"scope_id", &AttentionSample::scope_id, kId},
};
template <>
inline constexpr Layout kLayout<Source>{
    "source",
    Field{"platform", &Source::platform, kText},
    Field{"adapter", &Source::adapter, kText},
    Field{"raw_type", &Source::raw_type, kText},
    Field{"raw_id", &Source::raw_id, kText},
};
template <>
inline constexpr Layout kLayout<Actor>{
    "actor",
    Field{"id", &Actor::id, kId},
    Field{"kind", &Actor::kind, kEnum},
    Field{"follower", &Actor::follower, kBool},
    Field{"new_viewer", &Actor::new_viewer, kBool},
    Field{"segment", &Actor::segment, kText},
    Field{"personalize", &Actor::personalize, kBool},
};
template <>
inline constexpr Layout kLayout<Flags>{
    "flags",
    Field{"late", &Flags::late, kBool},
    Field{"estimated", &Flags::estimated, kBool},
    Field{"test", &Flags::test, kBool},
    Field{"backfill", &Flags::backfill, kBool},
};
template <>
inline constexpr Layout kLayout<Event>{
    "event",
    Field{"id", &Event::id, kId},
    Field{"ts", &Event::ts, kTime},
    Field{"recv_ts", &Event::recv_ts, kTime},
    Field{"seq", &Event::seq, kCount},
    Field{"tenant", &Event::tenant, kId},
    Field{"room", &Event::room, kId},
    Field{"session", &Event::session, kId},
    Field{"src", &Event::src, kNested},
    Field{"actor", &Event::actor, kNested},
    Field{"flags", &Event::flags, kNested},
};

}  // namespace heed::event
