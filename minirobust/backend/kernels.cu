// The kernels that a chain of array expressions would make slow.  `NumpyBackend` is the reference for each of them.
//
// One thread computes one element of the result, and reads whatever it needs for it: nothing is written by two threads,
// so no atomic addition makes the sums depend on chance.  Sums run in the reference's order.
// Images are (samples, height, width, channels), contiguous.  Windows stand at (row, column) = (oh, ow) * stride - (top, left).

template <typename T>
__global__ void softmax_cross_entropy(long long samples, int classes, const T *logits, const long long *labels, T *loss,
                                      T *gradient) {
    long long n = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (n >= samples) return;
    const T *z = logits + n * classes;
    T *g = gradient + n * classes;
    long long y = labels[n];
    if (y < 0 || y >= classes) {  // nobody looks at labels on the device: a NaN shows, foreign memory would not
        loss[n] = T(nan(""));
        for (int j = 0; j < classes; ++j) g[j] = loss[n];
        return;
    }

    T largest = z[0];
    for (int j = 1; j < classes; ++j)
        if (z[j] > largest) largest = z[j];

    T others = 0;  // the sum of exp(z_j) over j != y
    for (int j = 0; j < classes; ++j) {
        g[j] = exp(z[j] - largest);
        if (j != y) others += g[j];
    }
    T e_y = g[y];
    loss[n] = log1p(others + (e_y - 1)) - (z[y] - largest);
    for (int j = 0; j < classes; ++j) g[j] = (j == y ? -others : g[j]) / (others + e_y);
}

template <typename T>
__global__ void col2im(long long size, int height, int width, int channels, int out_height, int out_width,
                       int kernel_height, int kernel_width, int stride_down, int stride_across, int top, int left,
                       const T *columns, T *x) {
    long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k >= size) return;
    int c = k % channels;
    int column = k / channels % width;
    int row = k / channels / width % height;
    long long n = k / channels / width / height;

    T sum = 0;
    for (int i = 0; i < kernel_height; ++i)
        for (int j = 0; j < kernel_width; ++j) {
            // The patch in which this pixel stands at place (i, j), if there is one.
            int down = row + top - i, across = column + left - j;
            if (down < 0 || across < 0 || down % stride_down || across % stride_across) continue;
            int oh = down / stride_down, ow = across / stride_across;
            if (oh >= out_height || ow >= out_width) continue;
            long long patch = (n * out_height + oh) * out_width + ow;
            sum += columns[((patch * kernel_height + i) * kernel_width + j) * channels + c];
        }
    x[k] = sum;
}

template <typename T>
__global__ void max_pool(long long size, int height, int width, int channels, int out_height, int out_width,
                         int window_height, int window_width, int stride_down, int stride_across, int top, int left,
                         T border, const T *x, T *y, int *winner) {
    long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k >= size) return;
    int c = k % channels;
    int ow = k / channels % out_width;
    int oh = k / channels / out_width % out_height;
    long long n = k / channels / out_width / out_height;

    T best = border;
    int place = 0;
    for (int i = 0; i < window_height; ++i)
        for (int j = 0; j < window_width; ++j) {
            int row = oh * stride_down - top + i, column = ow * stride_across - left + j;
            bool inside = row >= 0 && row < height && column >= 0 && column < width;
            T candidate = inside ? x[((n * height + row) * width + column) * channels + c] : border;
            if (candidate > best) place = i * window_width + j;
            // A NaN is greater than nothing, but must not be lost; once it is in, nothing is greater than it.
            if (candidate > best || candidate != candidate) best = candidate;
        }
    y[k] = best;
    winner[k] = place;
}

template <typename T>
__global__ void max_pool_gradient(long long size, int height, int width, int channels, int out_height, int out_width,
                                  int window_height, int window_width, int stride_down, int stride_across, int top,
                                  int left, const T *grad_y, const int *winner, T *grad_x) {
    long long k = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (k >= size) return;
    int c = k % channels;
    int column = k / channels % width;
    int row = k / channels / width % height;
    long long n = k / channels / width / height;

    T sum = 0;
    for (int i = 0; i < window_height; ++i)
        for (int j = 0; j < window_width; ++j) {
            // The window in which this pixel stands at place (i, j), if there is one.
            int down = row + top - i, across = column + left - j;
            if (down < 0 || across < 0 || down % stride_down || across % stride_across) continue;
            int oh = down / stride_down, ow = across / stride_across;
            if (oh >= out_height || ow >= out_width) continue;
            long long window = ((n * out_height + oh) * out_width + ow) * channels + c;
            sum += grad_y[window] * (winner[window] == i * window_width + j);
        }
    grad_x[k] = sum;
}
