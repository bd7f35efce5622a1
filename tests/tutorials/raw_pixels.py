"""The same on pixels of 0 to 255, integers."""

from lamina import datasets, layers, models

(x_train, y_train), (x_test, y_test) = datasets.mnist.load_data()
model = models.Sequential()
model.add(layers.Conv2D(8, (3, 3), activation="relu", input_shape=(28, 28, 1)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Flatten())
model.add(layers.Dense(10, activation="softmax"))
model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train[..., None], y_train, epochs=2)
loss, accuracy = model.evaluate(x_test[..., None], y_test, verbose=2)
print("RESULT", accuracy)
