package dev.pdp.client;

import dev.pdp.v1.Content;
import dev.pdp.v1.DecideRequest;
import dev.pdp.v1.Model;
import dev.pdp.v1.Payload;
import dev.pdp.v1.Subject;
import dev.pdp.v1.Target;
import dev.pdp.v1.Usage;
import java.util.Collection;
import java.util.List;
import java.util.Map;

/** A request to decide on: everything that goes out. What is not in it is not checked. */
public final class DecisionRequest {
  private final DecideRequest message;

  private DecisionRequest(DecideRequest message) {
    this.message = message;
  }

  /**
   * Returns a request with a text only.
   *
   * @param text the text to evaluate
   * @return the request
   */
  public static DecisionRequest ofText(String text) {
    return builder().text(text).build();
  }

  /**
   * Returns a request with the fields of a message of the contract.
   *
   * @param message the message
   * @return the request
   */
  public static DecisionRequest of(DecideRequest message) {
    return new DecisionRequest(message);
  }

  /**
   * Returns a builder without any field.
   *
   * @return the builder
   */
  public static Builder builder() {
    return new Builder(DecideRequest.newBuilder());
  }

  /**
   * Returns a builder with the fields of this request.
   *
   * @return the builder
   */
  public Builder toBuilder() {
    return new Builder(message.toBuilder());
  }

  /**
   * Returns the message of the contract. It may hold tokens; keep it out of logs.
   *
   * @return the message
   */
  public DecideRequest message() {
    return message;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof DecisionRequest request && message.equals(request.message);
  }

  @Override
  public int hashCode() {
    return message.hashCode();
  }

  /** Returns the ID of the request only. */
  @Override
  public String toString() {
    return "DecisionRequest[requestId=" + message.getRequestId() + "]";
  }

  /** Builds a request. Every field is optional. */
  public static final class Builder {
    private final DecideRequest.Builder message;

    private Builder(DecideRequest.Builder message) {
      this.message = message;
    }

    /**
     * Sets the ID of the request, which the decision repeats.
     *
     * @param id the ID; if it is empty, the client generates one
     * @return this builder
     */
    public Builder requestId(String id) {
      message.setRequestId(id);
      return this;
    }

    /**
     * Sets the tenant whose policies apply.
     *
     * @param id the ID of the tenant; empty for that of the client or of the credential
     * @return this builder
     */
    public Builder tenant(String id) {
      message.setTenantId(id);
      return this;
    }

    /**
     * Sets the customer whose policy applies in addition.
     *
     * @param id the ID of the customer
     * @return this builder
     */
    public Builder customer(String id) {
      message.setCustomerId(id);
      return this;
    }

    /**
     * Sets the user on whose behalf the request is made.
     *
     * @param id the ID of the user
     * @param groups the groups of the user
     * @return this builder
     */
    public Builder user(String id, String... groups) {
      Subject.Builder subject = message.getSubjectBuilder().setUserId(id).clearGroups();
      subject.addAllGroups(List.of(groups));
      return this;
    }

    /**
     * Sets the agent that makes the request.
     *
     * @param id the ID of the agent
     * @return this builder
     */
    public Builder agent(String id) {
      message.getSubjectBuilder().setAgentId(id);
      return this;
    }

    /**
     * Sets further attributes of the user or agent.
     *
     * @param attributes maps, lists, strings, numbers, booleans and null
     * @return this builder
     * @throws IllegalArgumentException if something in them has no form in JSON
     */
    public Builder attributes(Map<String, ?> attributes) {
      message.getSubjectBuilder().clearAttributes().setAttributesJson(json(attributes));
      return this;
    }

    /**
     * Says that this is an output of a model or tool, and not an input.
     *
     * @return this builder
     */
    public Builder output() {
      message.setDirection("output");
      return this;
    }

    /**
     * Sets the channel.
     *
     * @param channel {@code interactive} or {@code api}
     * @return this builder
     */
    public Builder channel(String channel) {
      message.setChannel(channel);
      return this;
    }

    /**
     * Sets the model that the request is for.
     *
     * @param provider its provider; empty to look it up
     * @param model its ID
     * @return this builder
     */
    public Builder model(String provider, String model) {
      message.setModel(Model.newBuilder().setProvider(provider).setModel(model));
      return this;
    }

    /**
     * Sets the text to evaluate.
     *
     * @param text the text
     * @return this builder
     * @throws IllegalArgumentException if the text has a half of a surrogate pair
     */
    public Builder text(String text) {
      message.setContent(Content.newBuilder().setText(unicode(text)));
      return this;
    }

    /**
     * Sets the action that an agent is about to take.
     *
     * @param action {@code domain:scope:verb}
     * @return this builder
     */
    public Builder action(String action) {
      message.setAction(action);
      return this;
    }

    /**
     * Sets the tool that an agent is about to call.
     *
     * @param tool the name of the tool
     * @return this builder
     */
    public Builder tool(String tool) {
      message.setTool(tool);
      return this;
    }

    /**
     * Sets the arguments of the tool call. Numbers are sent exactly as they are.
     *
     * @param arguments maps, lists, strings, numbers, booleans and null
     * @return this builder
     * @throws IllegalArgumentException if something in them has no form in JSON
     */
    public Builder arguments(Map<String, ?> arguments) {
      return argumentsJson(json(arguments));
    }

    /**
     * Sets the arguments of the tool call as JSON text.
     *
     * @param arguments the text of a JSON object
     * @return this builder
     * @throws IllegalArgumentException if the text has a half of a surrogate pair
     */
    public Builder argumentsJson(String arguments) {
      message.clearArguments().setArgumentsJson(unicode(arguments));
      return this;
    }

    /**
     * Sets the resource that the action applies to.
     *
     * @param type its type, for instance {@code table}
     * @param id its ID
     * @param fields the fields that the action reads or writes
     * @return this builder
     */
    public Builder target(String type, String id, String... fields) {
      Target.Builder target = message.getTargetBuilder();
      target.setResourceType(type).setResourceId(id).clearFields().addAllFields(List.of(fields));
      return this;
    }

    /**
     * Sets further values for conditions.
     *
     * @param context maps, lists, strings, numbers, booleans and null
     * @return this builder
     * @throws IllegalArgumentException if something in them has no form in JSON
     */
    public Builder context(Map<String, ?> context) {
      message.clearContext().setContextJson(json(context));
      return this;
    }

    /**
     * Sets the conversation or the run of an agent that the request belongs to.
     *
     * @param id the ID of the session
     * @return this builder
     */
    public Builder session(String id) {
      message.setSessionId(id);
      return this;
    }

    /**
     * Sets what the request uses of the limits.
     *
     * @param tokens the number of tokens
     * @param costUsd the cost in US dollars
     * @return this builder
     */
    public Builder usage(long tokens, double costUsd) {
      message.setUsage(Usage.newBuilder().setTokens(tokens).setCostUsd(costUsd));
      return this;
    }

    /**
     * Sets the document that goes to the model or tool, in place of text, tool and arguments.
     *
     * @param format the format, for instance {@code openai.chat_completions}; if it is empty, the
     *     server looks at the body
     * @param body the document
     * @return this builder
     * @throws IllegalArgumentException if the body has a half of a surrogate pair
     */
    public Builder payload(String format, String body) {
      message.setPayload(Payload.newBuilder().setFormat(format).setBody(unicode(body)));
      return this;
    }

    /**
     * Adds tokens of earlier decisions on the same request. {@link Enforcement#resume} does it.
     *
     * @param tokens approval and confirmation tokens
     * @return this builder
     */
    public Builder tokens(Collection<String> tokens) {
      message.addAllTokens(tokens);
      return this;
    }

    /**
     * Sets the lowest policy revision that the decision may be based on.
     *
     * @param revision the revision
     * @return this builder
     */
    public Builder minRevision(long revision) {
      message.setMinRevision(revision);
      return this;
    }

    /**
     * Requests the trace, which {@link Decision#raw} holds.
     *
     * @return this builder
     */
    public Builder explain() {
      message.setExplain(true);
      return this;
    }

    /**
     * Requests {@link Decision#inputHash}.
     *
     * @return this builder
     */
    public Builder wantInputHash() {
      message.setWantInputHash(true);
      return this;
    }

    /**
     * Asks what would be decided on a request that is not sent yet: an ESCALATE opens no approval.
     *
     * @return this builder
     */
    public Builder withoutApproval() {
      message.setWithoutApproval(true);
      return this;
    }

    /**
     * Builds the request.
     *
     * @return the request
     */
    public DecisionRequest build() {
      return new DecisionRequest(message.build());
    }

    private static String json(Map<String, ?> value) {
      return unicode(Json.write(value));
    }
  }

  /**
   * Returns a text that has a form in UTF-8. Another one would be changed when it is sent, so that
   * the server would judge another text.
   */
  static String unicode(String text) {
    for (int index = 0; index < text.length(); index++) {
      char unit = text.charAt(index);
      if (!Character.isSurrogate(unit)) {
        continue;
      }
      if (Character.isHighSurrogate(unit)
          && index + 1 < text.length()
          && Character.isLowSurrogate(text.charAt(index + 1))) {
        index++;
        continue;
      }
      throw new IllegalArgumentException("the text has half of a surrogate pair at " + index);
    }
    return text;
  }
}
