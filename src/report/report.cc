#include "report/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "report/highlights.h"
#include "report/page.h"
#include "text/normalize.h"
#include "train/moment_rows.h"

namespace heed::report {
namespace {

namespace json = boost::json;
using model::MomentView;

constexpr size_t kOutcomes = model::kMomentOutcomes;
constexpr size_t kApart = 45;          // seconds between two highlights
constexpr double kLeastUnusual = 1.5;  // robust deviations
constexpr auto kNow = static_cast<size_t>(MomentView::kNow);
constexpr auto kNext = static_cast<size_t>(MomentView::kNext);

// Columns of the table of records, of those that were measured at all.
constexpr std::string_view kColumns[] = {"audio.lufs_m_max",
                                         "voice.f0_median",
                                         "voice.f0_range_st",
                                         "voice.active",
                                         "voice.syll_rate_5s",
                                         "voice.pause_max",
                                         "audio.music_likely",
                                         "face.present",
                                         "face.area",
                                         "vis.motion",
                                         "vis.cut",
                                         "vis.brightness",
                                         "vis.closeup_proxy",
                                         "ocr.price_cny",
                                         "ocr.stock"};

json::value Number(double value) {
  if (!std::isfinite(value)) return nullptr;
  return std::round(value * 1e4) / 1e4;
}

// What stands for so many seconds of the broadcast.
struct Bins {
  size_t seconds = 0, width = 1;

  size_t count() const { return (seconds + width - 1) / width; }
  size_t first(size_t bin) const { return bin * width; }
  size_t end(size_t bin) const { return std::min(seconds, (bin + 1) * width); }
};
Bins BinsOf(size_t seconds, size_t most) {
  return {seconds, std::max<size_t>(1, (seconds + most - 1) / std::max<size_t>(most, 1))};
}

// value(t) is a number, or not a number where there is none; a bin without one is null.
template <typename Value>
json::array Curve(const Bins& bins, Value value) {
  json::array curve;
  for (size_t bin = 0; bin < bins.count(); ++bin) {
    double sum = 0, n = 0;
    for (size_t t = bins.first(bin); t < bins.end(bin); ++t) {
      const double x = value(t);
      if (std::isfinite(x)) sum += x, n += 1;
    }
    curve.push_back(n > 0 ? Number(sum / n) : nullptr);
  }
  return curve;
}

struct Broadcast {
  std::vector<media::Moment> moments;
  std::vector<const media::Moment*> at;  // [T], of a second; none: not in the file
  model::MomentAttentionConfig config;
  model::MomentSeries series;
  std::vector<std::string> columns;  // names, [F]
  std::shared_ptr<const model::MomentAttention> model;
  Judgement judged;  // with a model
  nn::Matrix unusual;
  std::vector<double> score;  // [T]: the model's, or how unusual the second was
};

double None() { return std::numeric_limits<double>::quiet_NaN(); }

Result<Broadcast> Read(std::span<const media::Moment> moments,
                       const std::shared_ptr<const model::MomentAttention>& model) {
  Broadcast b;
  for (const media::Moment& moment : moments) {
    if (!b.moments.empty() && moment.second <= b.moments.back().second) continue;
    b.moments.push_back(moment);
  }
  if (b.moments.empty()) return InvalidArgument("there are no moments to report on");
  b.model = model;
  if (model != nullptr) {
    b.config = model->config();
  } else {
    b.config.modalities = train::MomentColumns();
  }
  for (const model::MomentModality& modality : b.config.modalities) {
    b.columns.insert(b.columns.end(), modality.features.begin(), modality.features.end());
  }
  HEED_ASSIGN_OR_RETURN(b.series, train::MomentSeriesOf(b.moments, b.config));
  const size_t T = b.series.seconds();
  b.at.assign(T, nullptr);
  for (const media::Moment& moment : b.moments) {
    b.at[static_cast<size_t>(moment.second - b.series.first_second)] = &moment;
  }
  b.unusual = Unusual(b.config, b.series);
  if (model != nullptr) {
    b.judged = Judge(*model, b.series);
    b.score = b.judged.score;
    return b;
  }
  for (size_t t = 0; t < T; ++t) {
    double sum = 0;
    for (size_t m = 0; m < b.unusual.cols(); ++m) {
      sum += static_cast<double>(b.unusual.Row(t)[m] * b.unusual.Row(t)[m]);
    }
    b.score.push_back(std::sqrt(sum / static_cast<double>(b.unusual.cols())));
  }
  return b;
}

constexpr int64_t kTextStandsMs = 3000;  // text on the screen is looked for every two seconds

// Share of the second that was seen or heard, by the record; 0 of a modality that media does not measure.
double Cover(const Broadcast& b, size_t t, const std::string& modality) {
  for (size_t m = 0; b.at[t] != nullptr && m < media::kModalities; ++m) {
    const auto of = static_cast<media::Modality>(m);
    if (media::ModalityName(of) != modality) continue;
    const media::Coverage& seen = b.at[t]->of(of);
    if (of == media::Modality::kOcr) return seen.age_ms >= 0 && seen.age_ms < kTextStandsMs ? 1 : 0;
    return seen.ok ? static_cast<double>(seen.cover) : 0;
  }
  return 0;
}

json::array Modalities(const Broadcast& b, const Bins& bins) {
  json::array all;
  for (size_t m = 0; m < b.config.modalities.size(); ++m) {
    const size_t T = b.series.seconds();
    const std::string& name = b.config.modalities[m].name;
    double measured = 0;
    for (size_t t = 0; t < T; ++t) measured += Cover(b, t, name);
    json::object one;
    one["name"] = name;
    one["measured"] = Number(measured / static_cast<double>(T));
    one["cover"] = Curve(bins, [&](size_t t) { return Cover(b, t, name); });
    one["unusual"] = Curve(bins, [&](size_t t) {
      const auto unusual = static_cast<double>(b.unusual.Row(t)[m]);
      return unusual > 0 ? unusual : None();
    });
    if (b.model != nullptr) {
      one["weight"] = Curve(bins, [&](size_t t) {
        return static_cast<double>(b.judged.answer.views[kNow].weights.Row(t)[m]);
      });
      const model::MomentAttention::Lag lag = b.model->lag(MomentView::kNow, m);
      one["lag_s"] = Number(lag.lag_s);
      one["half_life_s"] = Number(std::log(2) / lag.decay);
      double weight = 0;
      for (size_t t = 0; t < T; ++t) {
        weight += static_cast<double>(b.judged.answer.views[kNow].weights.Row(t)[m]);
      }
      one["mean_weight"] = Number(weight / static_cast<double>(T));
    }
    all.push_back(std::move(one));
  }
  return all;
}

json::object Rates(const Broadcast& b, const Bins& bins) {
  json::object rates;
  const nn::Matrix& log_rates = b.judged.answer.views[kNext].log_rates;
  for (size_t k = 0; k < kOutcomes; ++k) {
    std::vector<double> known;
    for (size_t t = 0; t < log_rates.rows(); ++t) {
      if (std::isfinite(b.score[t])) known.push_back(static_cast<double>(log_rates.Row(t)[k]));
    }
    const double usual = Median(known);
    rates[model::kMomentOutcomeNames[k]] = Curve(bins, [&](size_t t) {
      return std::isfinite(b.score[t]) ? std::exp(static_cast<double>(log_rates.Row(t)[k]) - usual)
                                       : None();
    });
  }
  rates["stay"] = Curve(bins, [&](size_t t) {
    if (!std::isfinite(b.score[t])) return None();
    return std::exp(-std::exp(static_cast<double>(log_rates.Row(t)[0])) * b.config.horizon_s);
  });
  return rates;
}

json::object ToJson(const Broadcast& b, const Highlight& highlight, bool best) {
  json::object one;
  one["t"] = b.series.first_second + static_cast<int64_t>(highlight.second);
  one["best"] = best;
  one["score"] = Number(highlight.score);
  const media::Moment* moment = b.at[highlight.second];
  if (moment != nullptr && !moment->screen_text.empty()) {
    one["text"] = text::ValidUtf8(moment->screen_text.substr(0, 400));
  }
  json::array reasons;
  for (const Reason& reason : highlight.reasons) {
    json::object why;
    why["modality"] = b.config.modalities[reason.modality].name;
    why["share"] = Number(reason.share);
    why["weight"] = Number(reason.weight);
    json::array features;
    for (const MovedFeature& moved : reason.features) {
      json::object feature;
      const std::string& name = b.columns[moved.column];
      feature["name"] = name;
      feature["z"] = Number(static_cast<double>(moved.z));
      feature["t"] = b.series.first_second + static_cast<int64_t>(moved.second);
      feature["change"] = Number(moved.change);
      const std::optional<media::Feature> known = media::FeatureByName(name);
      if (known && b.at[moved.second] != nullptr) {
        const std::optional<float> value = b.at[moved.second]->values.Get(*known);
        if (value) feature["value"] = Number(static_cast<double>(*value));
        feature["unit"] = media::InfoOf(*known).unit;
      }
      features.push_back(std::move(feature));
    }
    why["features"] = std::move(features);
    reasons.push_back(std::move(why));
  }
  one["reasons"] = std::move(reasons);
  return one;
}

json::array Highlights(const Broadcast& b, const ReportOptions& options) {
  json::array all;
  const auto explain = [&](size_t t, bool best) {
    const Highlight highlight =
        b.model != nullptr ? ExplainByModel(*b.model, b.series, b.judged, t)
                           : ExplainByMeasure(b.config, b.series, b.unusual, t, b.score[t]);
    all.push_back(ToJson(b, highlight, best));
  };
  // Without a model there is no telling good from bad.
  const double least = b.model != nullptr ? 0 : kLeastUnusual;
  for (const size_t t : Peaks(b.score, options.highlights, kApart, least)) explain(t, true);
  if (b.model == nullptr) return all;
  std::vector<double> negative;
  for (const double score : b.score) negative.push_back(-score);
  for (const size_t t : Peaks(negative, options.highlights / 2, kApart, 0)) explain(t, false);
  return all;
}

json::object Records(const Broadcast& b, const Bins& bins) {
  json::array columns, rows;
  std::vector<media::Feature> features;
  for (const std::string_view name : kColumns) {
    const std::optional<media::Feature> feature = media::FeatureByName(name);
    const bool any =
        feature && std::any_of(b.moments.begin(), b.moments.end(), [&](const media::Moment& m) {
          return m.values.Get(*feature).has_value();
        });
    if (!any) continue;
    features.push_back(*feature);
    columns.push_back(json::object{{"name", name}, {"unit", media::InfoOf(*feature).unit}});
  }
  std::vector<json::array> curves;
  curves.reserve(features.size() + 1);
  for (const media::Feature feature : features) {
    curves.push_back(Curve(bins, [&](size_t t) {
      const auto value = b.at[t] != nullptr ? b.at[t]->values.Get(feature) : std::nullopt;
      return value ? static_cast<double>(*value) : None();
    }));
  }
  curves.push_back(Curve(bins, [&](size_t t) { return b.score[t]; }));
  for (size_t bin = 0; bin < bins.count(); ++bin) {
    json::array row = {b.series.first_second + static_cast<int64_t>(bins.first(bin))};
    for (const json::array& curve : curves) row.push_back(curve[bin]);
    rows.push_back(std::move(row));
  }
  return {{"seconds", bins.width}, {"columns", std::move(columns)}, {"rows", std::move(rows)}};
}

std::string Escaped(std::string text) {
  for (size_t at = 0; (at = text.find('<', at)) != std::string::npos;) {
    text.replace(at, 1, "\\u003c");  // no end tag, no comment, inside a script
  }
  return text;
}

}  // namespace

Result<std::string> WriteReport(std::span<const media::Moment> moments,
                                const std::shared_ptr<const model::MomentAttention>& model,
                                const ReportOptions& options) {
  HEED_ASSIGN_OR_RETURN(const Broadcast b, Read(moments, model));
  const size_t T = b.series.seconds();
  const Bins bins = BinsOf(T, options.points);
  json::object page;
  page["title"] = text::ValidUtf8(options.title);
  page["room"] = text::ValidUtf8(b.moments.front().room);
  page["first"] = b.series.first_second;
  page["seconds"] = T;
  page["records"] = b.moments.size();
  page["epochs"] = b.moments.back().epoch - b.moments.front().epoch + 1;
  page["point_s"] = bins.width;
  page["horizon_s"] = b.config.horizon_s;
  page["model"] = model != nullptr ? json::value(options.model_name) : json::value(nullptr);
  page["score"] = Curve(bins, [&](size_t t) { return b.score[t]; });
  page["modalities"] = Modalities(b, bins);
  if (model != nullptr) {
    page["nothing"] = Curve(bins, [&](size_t t) {
      return static_cast<double>(
          b.judged.answer.views[kNow].weights.Row(t)[b.config.modalities.size()]);
    });
    page["rates"] = Rates(b, bins);
  }
  page["highlights"] = Highlights(b, options);
  page["table"] = Records(b, BinsOf(T, options.rows));

  constexpr std::string_view kPlace = "@DATA@";
  std::string html = kPage;
  const size_t place = html.find(kPlace);
  assert(place != std::string::npos);
  return html.replace(place, kPlace.size(), Escaped(json::serialize(page)));
}

}  // namespace heed::report
