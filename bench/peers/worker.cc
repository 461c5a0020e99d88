#include "peers/worker.h"

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <cmath>
#include <iostream>
#include <optional>

namespace heed::r1 {

namespace json = boost::json;

namespace {

double MaxAbsError(std::span<const double> truth, const std::vector<float>& logits) {
  double worst = 0;
  for (size_t i = 0; i < truth.size(); ++i) {
    const double error = std::abs(truth[i] - static_cast<double>(logits[i]));
    // Not std::max: a logit that is not a number must come out as the error it is.
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

json::object Serve(const Data& data, const std::vector<Variant>& variants,
                   const json::value& asked) {
  const std::string name = json::value_to<std::string>(asked.at("variant"));
  const auto variant = std::find_if(variants.begin(), variants.end(),
                                    [&](const Variant& known) { return known.name == name; });
  if (variant == variants.end()) return {{"error", "no variant " + name}};
  const json::array& range = asked.at("requests").as_array();
  const auto begin = range.at(0).to_number<size_t>();
  const auto end = range.at(1).to_number<size_t>();
  if (begin > end || end > data.requests()) return {{"error", "no such requests"}};

  std::vector<float> logits(data.candidates() * kOutputs);
  json::array times;
  std::optional<double> worst;
  for (size_t index = begin; index < end; ++index) {
    const Request request = data.request(index);
    const auto started = std::chrono::steady_clock::now();
    variant->score(request, logits.data());
    const std::chrono::duration<double, std::milli> took =
        std::chrono::steady_clock::now() - started;
    times.emplace_back(took.count());
    if (index < data.truths()) {
      const double error = MaxAbsError(data.Truth(variant->family, index), logits);
      if (!worst || !(error <= *worst)) worst = error;
    }
  }
  json::object answer{{"ms", std::move(times)}, {"max_abs_error", nullptr}};
  if (worst && std::isfinite(*worst)) answer["max_abs_error"] = *worst;
  if (worst && !std::isfinite(*worst)) answer["error"] = "a logit is not a number";
  return answer;
}

}  // namespace

int ServeWorker(int argc, char** argv, const std::string& version,
                const std::function<std::vector<Variant>(const Data&)>& make) {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << " DATA_FOLDER   (started by bench/peers/peers.py)\n";
    return 2;
  }
  const Result<std::unique_ptr<Data>> data = Data::Open(argv[1]);
  if (!data.ok()) {
    std::cerr << argv[0] << ": " << data.status().ToString() << "\n";
    return 1;
  }
  const std::vector<Variant> variants = make(*data.value());
  json::array names;
  for (const Variant& variant : variants) names.emplace_back(variant.name);
  std::cout << json::object{{"ready", true}, {"version", version}, {"variants", names}}
            << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    json::object answer;
    try {
      answer = Serve(*data.value(), variants, json::parse(line));
    } catch (const std::exception& error) {
      answer = {{"error", error.what()}};
    }
    std::cout << answer << std::endl;
  }
  return 0;
}

}  // namespace heed::r1
