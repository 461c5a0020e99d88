// Counters, gauges and histograms, and their text for a Prometheus scrape. Whoever makes a Metrics
// owns it and hands out the small handles below; there is no global registry.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace prometheus {
class Counter;
class Gauge;
class Histogram;
}  // namespace prometheus

namespace heed {

// Handles are values, valid as long as the Metrics they came from, and safe from any thread. One
// made by default counts nothing.
class Counter {
 public:
  Counter() = default;
  void Add(uint64_t n = 1) const;

 private:
  friend class Metrics;
  explicit Counter(prometheus::Counter* counter) : counter_(counter) {}
  prometheus::Counter* counter_ = nullptr;
};

class Gauge {
 public:
  Gauge() = default;
  void Set(double value) const;
  void Add(double difference) const;

 private:
  friend class Metrics;
  explicit Gauge(prometheus::Gauge* gauge) : gauge_(gauge) {}
  prometheus::Gauge* gauge_ = nullptr;
};

class Histogram {
 public:
  Histogram() = default;
  void Observe(double value) const;  // takes a short lock: about 30 ns when nobody contends
  // What somebody else has observed: so many more in each bucket, the last one without a bound.
  void Add(const std::vector<double>& by_bucket, double sum) const;

 private:
  friend class Metrics;
  explicit Histogram(prometheus::Histogram* histogram) : histogram_(histogram) {}
  prometheus::Histogram* histogram_ = nullptr;
};

using MetricLabels = std::map<std::string, std::string>;

// Thread-safe. Asking twice for the same name and labels gives a handle on the same number. Names
// and label names are fixed by our code and must be valid for Prometheus; never make a label of what
// a client sends, or the series are without end.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  Counter AddCounter(const std::string& name, const std::string& help,
                     const MetricLabels& labels = {});
  Gauge AddGauge(const std::string& name, const std::string& help, const MetricLabels& labels = {});
  // `buckets`: rising upper bounds.
  Histogram AddHistogram(const std::string& name, const std::string& help,
                         const std::vector<double>& buckets, const MetricLabels& labels = {});
  // Called before each Text(), to set gauges whose value is read rather than counted.
  void BeforeScrape(std::function<void()> refresh);

  // Text exposition format 0.0.4.
  std::string Text() const;

  // Seconds from 50 µs to 10 s, about three a decade: for request latencies.
  static const std::vector<double>& LatencyBuckets();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed
