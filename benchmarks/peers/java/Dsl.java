import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.utils.Bytes;
import org.apache.kafka.streams.KeyValue;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.KStream;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.state.KeyValueStore;

/** The statistics as the documentation of Kafka Streams would have them written. */
final class Dsl {
  @JsonIgnoreProperties(ignoreUnknown = true)
  record Sale(
      @JsonProperty("category") String category,
      @JsonProperty("currency") String currency,
      @JsonProperty("price_minor") long price) {}

  private static final ObjectReader SALES = new ObjectMapper().readerFor(Sale.class);

  static Topology topology(String input) {
    StreamsBuilder builder = new StreamsBuilder();
    KStream<String, Sale> sales =
        builder.stream(input, Consumed.with(Serdes.String(), Serdes.ByteArray()))
            .mapValues(Dsl::read);
    sales.mapValues(Sale::price)
        .groupByKey(Grouped.with(Serdes.String(), Serdes.Long()))
        .aggregate(Histogram::new, (key, price, prices) -> prices.add(price), store("seller"));
    // Only the price travels through the repartition topics, not the whole sale.
    sales.map((seller, sale) -> KeyValue.pair(sale.category(), sale.price()))
        .groupByKey(Grouped.with("category", Serdes.String(), Serdes.Long()))
        .aggregate(Histogram::new, (key, price, prices) -> prices.add(price), store("category"));
    sales.map((seller, sale) -> KeyValue.pair(sale.currency(), sale.price()))
        .groupByKey(Grouped.with("global", Serdes.String(), Serdes.Long()))
        .aggregate(Histogram::new, (key, price, prices) -> prices.add(price), store("global"));
    return builder.build();
  }

  private static Materialized<String, Histogram, KeyValueStore<Bytes, byte[]>> store(String name) {
    return Materialized.<String, Histogram, KeyValueStore<Bytes, byte[]>>as(name)
        .withKeySerde(Serdes.String())
        .withValueSerde(Histogram.serde());
  }

  private static Sale read(byte[] json) {
    try {
      return SALES.readValue(json);
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }
}
