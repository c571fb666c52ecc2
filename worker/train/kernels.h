#pragma once
// The optimizers' inner loops over one tensor. Compiled for the machine's widest vectors and for any x86-64 alike:
// every operation is an IEEE one on one element, so both give the same bits. Moments that a variant does not have are
// null.
#include <cstddef>

namespace modelhop::kernels {

struct Sgd {
  float rate, weight_decay, momentum, dampening;
  bool nesterov, first;  // first: the buffer starts as the gradient
};
void sgd(const Sgd& s, const float* gradient, float factor, float* parameter, float* buffer, std::size_t count);

struct Adam {
  float decay;         // decoupled (adamw): parameters are multiplied by this first
  float weight_decay;  // coupled (adam)
  float beta1, beta2, one_minus_beta1, one_minus_beta2;
  float step_size;        // rate / (1 - beta1^t)
  float root_correction;  // sqrt(1 - beta2^t)
  float eps;
};
void adam(const Adam& a, const float* gradient, float factor, float* parameter, float* average, float* square,
          float* square_max, std::size_t count);

struct Rmsprop {
  float rate, weight_decay, alpha, one_minus_alpha, eps, momentum;
};
void rmsprop(const Rmsprop& r, const float* gradient, float factor, float* parameter, float* square, float* average,
             float* buffer, std::size_t count);

struct Adagrad {
  float rate, weight_decay, eps;
};
void adagrad(const Adagrad& a, const float* gradient, float factor, float* parameter, float* sum, std::size_t count);

// Sum of squares in double: sixteen running sums, element i in sum i mod 16, added in order at the end.
double sum_of_squares(const float* values, std::size_t count);

}  // namespace modelhop::kernels
