#include "infer/live_model.h"

#include <utility>

#include "model/ranker_net.h"

namespace heed::infer {
namespace {

void Append(const model::TableRows& rows, model::TableRows* to) {
  to->of.resize(rows.of.size());
  for (size_t i = 0; i < rows.of.size(); ++i) {
    to->of[i].insert(to->of[i].end(), rows.of[i].begin(), rows.of[i].end());
  }
}

}  // namespace

LiveModel::LiveModel(ModelHandle* handle, std::string version, const model::Ranker& trained,
                     kernels::Precision precision)
    : handle_(handle), version_(std::move(version)), first_step_(trained.net().updates) {
  for (Replica& replica : replicas_) {
    replica.ranker = trained.CopyToServe();
    replica.model = ServingModel::Make(version_ + "+0", replica.ranker, precision);
  }
  handle_->Publish(std::exchange(replicas_[serving_].model, nullptr));
}

void LiveModel::Publish(const model::Ranker& trained, const model::TableRows& changed, bool dense) {
  for (Replica& replica : replicas_) {
    Append(changed, &replica.behind);
    replica.dense_behind = replica.dense_behind || dense;
  }
  Replica& next = replicas_[1 - serving_];
  CatchUp(trained, &next);
  // It was given to the handle by this object, which alone writes to it.
  replicas_[serving_].model =
      std::const_pointer_cast<ServingModel>(handle_->Exchange(std::exchange(next.model, nullptr)));
  serving_ = 1 - serving_;
}

void LiveModel::CatchUp(const model::Ranker& trained, Replica* replica) const {
  ServingModel& model = *replica->model;
  replica->ranker->CopyRows(trained, replica->behind);
  if (replica->dense_behind) replica->ranker->CopyDense(trained);
  if (model.compiled != nullptr && replica->dense_behind) {
    model.compiled->WeightsChanged();
  } else if (model.compiled != nullptr) {
    model.compiled->RowsChanged(replica->ranker->KeysOf(replica->behind));
  }
  model.version = version_ + "+" + std::to_string(trained.net().updates - first_step_);
  for (auto& rows : replica->behind.of) rows.clear();
  replica->dense_behind = false;
}

}  // namespace heed::infer
